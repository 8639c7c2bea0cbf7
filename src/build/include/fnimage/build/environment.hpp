// An Environment that owns what it refers to: for programs that want to build and publish and have
// neither transport nor client of their own. Thread-safety: see Environment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/credentials.hpp>

namespace fnimage::build {

struct EnvironmentOptions {
  registry::ClientOptions client{};
  /// Null = those of the user: default_credentials().
  std::shared_ptr<const registry::CredentialStore> credentials{};
  std::filesystem::path cache_directory{};  ///< empty = default_cache_directory()
  std::filesystem::path local_store{};      ///< empty = registry::local_store_directory()
  std::size_t threads = 0;                  ///< of the builds; 0 = one per processor
  std::size_t connections = 8;              ///< to one registry, at least 2
  std::uint64_t rate_limit = 0;  ///< bytes per second of all bodies, in each direction; 0 = none
  std::stop_token stop{};        ///< when asked, everything under way ends as cancelled
};

/// Does no network and makes no directories. One for each job that is to be stopped by itself.
class OwnedEnvironment {
 public:
  /// Errors: those of default_credentials() and of the default directories; internal when there is
  /// no thread to be had.
  /// @param diagnostics must outlive it.
  static Result<std::unique_ptr<OwnedEnvironment>> open(EnvironmentOptions options,
                                                        Diagnostics& diagnostics);
  OwnedEnvironment(const OwnedEnvironment&) = delete;
  OwnedEnvironment& operator=(const OwnedEnvironment&) = delete;
  ~OwnedEnvironment() = default;

  [[nodiscard]] const Environment& environment() const noexcept { return environment_; }
  [[nodiscard]] registry::Client& client() const noexcept { return environment_.client; }

 private:
  OwnedEnvironment(EnvironmentOptions options, std::shared_ptr<registry::Transport> transport,
                   Diagnostics& diagnostics);

  WorkerPool pool_;
  registry::Client client_;
  Environment environment_;
};

}  // namespace fnimage::build
