// fnimage run: a function or an image, started on this machine for a try.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/run/run.hpp>

#include "build_session.hpp"
#include "command.hpp"

namespace fnimage::cli {

namespace {

struct RunArguments {
  BuildFileOptions what;  ///< its directory may also be an image
  std::optional<std::uint16_t> port;
  std::vector<std::string> env;
  bool local = false;
};

/// A directory is one with a build file, or that is said to be one; a bare name may also be in the
/// local store.
bool names_directory(const RunArguments& arguments) {
  namespace fs = std::filesystem;
  std::error_code error;
  const std::string& what = arguments.what.directory;
  const fs::path path(what);
  return !arguments.local && fs::is_directory(path, error) &&
         (!arguments.what.file.empty() || fs::exists(path / build::build_file_name, error) ||
          what.starts_with('.') || what.starts_with('/') || what.ends_with('/'));
}

Result<void> check_variables(const std::vector<std::string>& variables) {
  for (const std::string& variable : variables) {
    if (variable.find('=') == std::string::npos || variable.starts_with('=')) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("--env {} is not NAME=VALUE", printable(variable)));
    }
  }
  return {};
}

Result<int> run_named(const RunArguments& arguments, const run::Options& options,
                      Session& session) {
  if (names_directory(arguments)) {
    FNIMAGE_TRY(const build::BuildSpec spec, read_spec(arguments.what));
    return run::run_function(spec, options, session.console());
  }
  const std::string& name = arguments.what.directory;
  if (!arguments.what.file.empty()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} is no directory, which --file is for", printable(name)));
  }
  FNIMAGE_TRY(const NamedImage image, session.open_image(name, arguments.local));
  WorkerPool pool;
  return run::run_image(*image.opened.store, image.opened.selector, printable(image.location.str()),
                        options, pool, session.console());
}

Result<void> run_run(const RunArguments& arguments, Session& session) {
  FNIMAGE_CHECK(check_variables(arguments.env));
  FNIMAGE_TRY(const std::filesystem::path cache, build::default_cache_directory());
  const run::Options options{.port = arguments.port,
                             .env = arguments.env,
                             .directory = cache / "run",
                             .stop = session.stop_token(),
                             .kill = session.take_signals()};
  FNIMAGE_TRY(const int code, run_named(arguments, options, session));
  session.set_exit_code(code);
  return {};
}

}  // namespace

void set_up_run(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<RunArguments>();
  arguments->what.directory = ".";
  command.add_option("REF", arguments->what.directory,
                     "A directory with a build file (default: .), or an image: registry/name:tag, "
                     "oci:DIR[:tag], oci-archive:FILE[:tag], docker-archive:FILE[:name:tag], "
                     "or a name in the local store");
  command
      .add_option("-f,--file", arguments->what.file,
                  "Another build file (paths are relative to REF)")
      ->type_name("FILE");
  command.add_option("--port", arguments->port, "Where it listens (default: 8080, or a free one)")
      ->type_name("N")
      ->check(CLI::Range(1, 65535));
  command.add_option("--env", arguments->env, "Set a variable; may be repeated")
      ->type_name("NAME=VALUE");
  command.add_flag("--local", arguments->local,
                   "Look in the local store, for a name with a registry too");
  complete_with_registry(
      command, registration,
      "A directory's function is run by this machine's python3 or node, with the packages that "
      "are\n"
      "installed here; an image with all its own, in namespaces. ^C ends it, twice at once.\n"
      "Its exit code is the command's.\n"
      "Example:\n  fnimage run hello\n"
      "  fnimage invoke 127.0.0.1:8080 '{\"name\": \"Ada\"}'",
      [arguments](Session& session) { return run_run(*arguments, session); });
}

}  // namespace fnimage::cli
