// A function run from its directory, see run.hpp.
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/function.hpp>
#include <fnimage/run/run.hpp>

#include "port.hpp"
#include "process.hpp"
#include "tree_writer.hpp"

namespace fnimage::run {
namespace {

std::string image_instead(const build::BuildSpec& spec) {
  return fmt::format("run the image instead: fnimage build && fnimage run {}:latest",
                     printable(spec.name));
}

Result<void> check_runnable(const build::BuildSpec& spec) {
  if (spec.runtime == "none" || !spec.config.entrypoint.empty() || !spec.config.cmd.empty()) {
    return fail(ErrorCode::unsupported,
                spec.runtime == "none" ? "runtime none says nothing that this machine could start"
                                       : "the build file has a command of its own, which is the "
                                         "image's to run",
                image_instead(spec));
  }
  return {};
}

/// A function's files below a directory of this machine.
class Relocated {
 public:
  Relocated(const build::Function& function, std::string root)
      : function_(function), root_(std::move(root)) {}

  /// A path of the image becomes one of this machine, if it is there; all else stays.
  [[nodiscard]] std::string operator()(const std::string& text) const {
    const bool is_there = text.starts_with('/') && text.size() > 1 &&
                          function_.files.resolve(std::string_view(text).substr(1)) != nullptr;
    return is_there ? root_ + text : text;
  }

  [[nodiscard]] std::string directory(const build::BuildSpec& spec) const {
    const std::string wanted =
        spec.config.workdir.empty() ? std::string(runtime::action_directory) : spec.config.workdir;
    const std::string found = (*this)(wanted);
    return found == wanted ? root_ : found;
  }

 private:
  const build::Function& function_;
  std::string root_;
};

std::vector<std::string> host_environment() {
  std::vector<std::string> environment;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return environment;
}

std::vector<std::string> environment_of(const build::BuildSpec& spec,
                                        const build::Function& function, const Relocated& relocated,
                                        std::uint16_t port, const Options& options) {
  std::vector<std::string> environment = host_environment();
  for (const auto* variables : {&function.runtime.env, &spec.config.env}) {
    for (const auto& [name, value] : *variables) {
      set_variables({fmt::format("{}={}", name, relocated(value))}, environment);
    }
  }
  set_variables({fmt::format("FNIMAGE_PORT={}", port), "FNIMAGE_ADDRESS=127.0.0.1"}, environment);
  set_variables(options.env, environment);
  return environment;
}

/// The interpreter of this machine.
Result<std::string> find_interpreter(const std::string& name, const build::BuildSpec& spec) {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing sets it
  for (std::string& candidate : program_candidates(name, path == nullptr ? "/usr/bin" : path)) {
    if (::access(candidate.c_str(), X_OK) == 0) {
      return std::move(candidate);
    }
  }
  return fail(
      ErrorCode::not_found,
      fmt::format("there is no {} on this machine, which runtime {} needs", name, spec.runtime),
      fmt::format("install it, or {}", image_instead(spec)));
}

/// What to tell about a line that an interpreter wrote to standard error.
std::string advice_about(std::string_view line, const build::BuildSpec& spec) {
  for (const std::string_view missing :
       {"ModuleNotFoundError: No module named ", "Error: Cannot find module "}) {
    if (line.starts_with(missing)) {
      return fmt::format("{} is not installed on this machine; {}",
                         printable(line.substr(missing.size())), image_instead(spec));
    }
  }
  return {};
}

}  // namespace

Result<int> run_function(const build::BuildSpec& spec, const Options& options,
                         Diagnostics& diagnostics) {
  FNIMAGE_CHECK(check_runnable(spec));
  FNIMAGE_TRY(const build::Function function,
              build::make_function(spec, manifest::host_platform()));
  const std::vector<std::string>& entrypoint = function.runtime.entrypoint;
  FNIMAGE_TRY(const std::string interpreter, find_interpreter(entrypoint.front(), spec));
  FNIMAGE_TRY(const ChosenPort chosen, choose_port(options.port, default_port));

  remove_stale_temporaries(options.directory);
  FNIMAGE_TRY(const TemporaryDirectory directory, TemporaryDirectory::create_in(options.directory));
  const std::filesystem::path root = std::filesystem::absolute(directory.path());
  FNIMAGE_CHECK(write_tree(function.files.entries(), root, {.stop = options.stop}));
  const Relocated relocated(function, root.string());
  const std::string main(runtime::is_path_of_image({.name = spec.runtime, .main = spec.main})
                             ? spec.main
                             : std::string());
  if (!main.empty() && relocated(main) == main) {
    return fail(ErrorCode::unsupported,
                fmt::format("source.main {} is a file of the image's", printable(main)),
                image_instead(spec));
  }
  Program program{.name = printable(spec.name),
                  .candidates = {interpreter},
                  .arguments = {},
                  .environment = environment_of(spec, function, relocated, chosen.port, options),
                  .directory = relocated.directory(spec)};
  for (const std::string& argument : entrypoint) {
    program.arguments.push_back(relocated(argument));
  }
  if (chosen.is_other) {
    diagnostics.report(Severity::warning,
                       fmt::format("port {} is in use: taking port {}", default_port, chosen.port));
  }
  const auto advice = [&spec](std::string_view line) { return advice_about(line, spec); };
  return run_in_foreground(
      program, {.port = chosen.port, .stop = options.stop, .kill = options.kill, .advice = advice},
      diagnostics);
}

}  // namespace fnimage::run
