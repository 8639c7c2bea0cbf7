// Starting an action on this machine for a try: a child process, no daemon, no root, no container
// engine. A function is started from its directory by this machine's interpreter; an image is
// unpacked and started in namespaces of its own. Both leave nothing behind. Thread-safety: may run
// several times at once, each on a thread that lives as long.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::run {

inline constexpr std::uint16_t default_port = 8080;

struct Options {
  /// Where the action listens; not given: default_port, or a free one when that is taken.
  std::optional<std::uint16_t> port{};
  std::vector<std::string> env{};   ///< "NAME=VALUE", over all others
  std::filesystem::path directory;  ///< for temporary directories; made if missing
  std::stop_token stop{};           ///< asks the action to end, by SIGTERM
  std::stop_token kill{};           ///< ends it
};

/// Runs a function with this machine's python3 or node until it ends; says on which address it
/// listens. Of what the build file says about the image, that counts which a process without it can
/// have: the source, layers and files (below a temporary directory, which `/action` and other names
/// in the environment are changed to), and the environment. Returns its exit code (128 + a signal).
/// Errors: unsupported for a function that only an image can run; not_found without interpreter;
/// unavailable when the port that was asked for is in use; those of reading the build file's files.
Result<int> run_function(const build::BuildSpec& spec, const Options& options,
                         Diagnostics& diagnostics);

/// Runs the image for this machine's platform: unpacked into a temporary directory, read-only, with
/// a writable /tmp, as the image's user, in the host's network. Unless this process is root's, that
/// user is the one who calls this. Errors: platform_mismatch when there is none for this machine;
/// unsupported where the kernel permits no namespaces; those of the store.
/// @param name of the image, for messages.
Result<int> run_image(registry::ImageStore& store, const registry::Selector& selector,
                      const std::string& name, const Options& options, WorkerPool& pool,
                      Diagnostics& diagnostics);

}  // namespace fnimage::run
