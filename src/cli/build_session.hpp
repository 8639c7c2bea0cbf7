// What the commands have in common that read a build file: its options, and the environment that
// they work in. Thread-safety: belongs to one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/spec.hpp>

#include "session.hpp"

namespace fnimage::cli {

struct BuildFileOptions {
  std::string directory;
  std::string file;
  bool offline = false;
  std::string cache_directory;
};

/// DIR and --file, before the other options of a command.
void add_build_file_options(CLI::App& command, BuildFileOptions& options);
/// --offline and --cache-dir, behind them.
void add_cache_options(CLI::App& command, BuildFileOptions& options);

Result<build::BuildSpec> read_spec(const BuildFileOptions& options);
Result<std::filesystem::path> cache_directory(const BuildFileOptions& options);

/// The environment of one command, and what it refers to.
class BuildSession {
 public:
  /// @param threads 0 = one per processor. `session` must outlive it.
  static Result<std::unique_ptr<BuildSession>> open(const BuildFileOptions& options,
                                                    std::size_t threads, Session& session);

  [[nodiscard]] const build::Environment& environment() const noexcept { return environment_; }

 private:
  BuildSession(std::shared_ptr<registry::Transport> transport, registry::Client& client,
               std::filesystem::path cache, std::filesystem::path local, std::size_t threads,
               Session& session)
      : pool_(threads, session.stop_token()),
        environment_{.transport = std::move(transport),
                     .client = client,
                     .pool = pool_,
                     .diagnostics = session.console(),
                     .cache_directory = std::move(cache),
                     .local_store = std::move(local)} {}

  WorkerPool pool_;
  build::Environment environment_;
};

}  // namespace fnimage::cli
