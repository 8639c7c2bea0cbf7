// See the header.
#include "build_session.hpp"

#include <CLI/CLI.hpp>

#include <fnimage/build/init.hpp>

namespace fnimage::cli {

void add_build_file_options(CLI::App& command, BuildFileOptions& options) {
  command.add_option("DIR", options.directory, "Where fnimage.yaml is (default: .)");
  command.add_option("-f,--file", options.file, "Another build file (paths are relative to DIR)")
      ->type_name("FILE");
}

void add_cache_options(CLI::App& command, BuildFileOptions& options) {
  command.add_flag("--offline", options.offline, "Use only packages that the cache has");
  command.add_option("--cache-dir", options.cache_directory, "Instead of $XDG_CACHE_HOME/fnimage")
      ->type_name("DIR");
}

Result<build::BuildSpec> read_spec(const BuildFileOptions& options) {
  if (!options.file.empty()) {
    return build::load_spec(options.file, options.directory);
  }
  return build::load_spec(std::filesystem::path(options.directory) / build::build_file_name);
}

Result<std::filesystem::path> cache_directory(const BuildFileOptions& options) {
  if (!options.cache_directory.empty()) {
    return std::filesystem::path(options.cache_directory);
  }
  return build::default_cache_directory();
}

Result<std::unique_ptr<BuildSession>> BuildSession::open(const BuildFileOptions& options,
                                                         std::size_t threads, Session& session) {
  FNIMAGE_TRY(auto transport, session.transport());
  FNIMAGE_TRY(registry::Client * client, session.client());
  FNIMAGE_TRY(std::filesystem::path local, Session::local_directory());
  FNIMAGE_TRY(std::filesystem::path cache, cache_directory(options));
  return std::unique_ptr<BuildSession>(new BuildSession(
      std::move(transport), *client, std::move(cache), std::move(local), threads, session));
}

}  // namespace fnimage::cli
