// fnimage init: a build file and a handler to begin with.
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/build/spec.hpp>

#include "command.hpp"
#include "json_text.hpp"

namespace fnimage::cli {

namespace {

struct InitArguments {
  std::string directory = ".";
  std::string runtime = "python";
  std::string name;
  bool schema = false;
};

Result<void> run_init(const InitArguments& arguments, Session& session) {
  if (arguments.schema) {
    session.console().print(std::string(build::spec_schema()));
    return {};
  }
  FNIMAGE_TRY(const build::InitResult made, build::init({.directory = arguments.directory,
                                                         .runtime = arguments.runtime,
                                                         .name = arguments.name}));
  if (session.common().json) {
    nlohmann::ordered_json value = {{"name", made.name},
                                    {"files", nlohmann::ordered_json::array()}};
    for (const std::filesystem::path& file : made.files) {
      value["files"].push_back(file.string());
    }
    session.console().print(json_lines(value));
    return {};
  }
  for (const std::filesystem::path& file : made.files) {
    session.console().print(fmt::format("wrote {}\n", printable(file.string())));
  }
  if (!session.common().quiet) {
    session.console().print(
        fmt::format("next: fnimage build {}\n", printable(arguments.directory)));
  }
  return {};
}

}  // namespace

void set_up_init(CLI::App& command, Registration registration) {
  const auto arguments = std::make_shared<InitArguments>();
  command.add_option("DIR", arguments->directory, "Where; made if missing (default: .)");
  command.add_option("--runtime", arguments->runtime, "What calls the function (default: python)")
      ->type_name("NAME");
  command.add_option("--name", arguments->name, "The function's name (default: the directory's)")
      ->type_name("NAME");
  command.add_flag("--schema", arguments->schema,
                   "Only print the JSON Schema of build files, for editors");
  complete(command, registration, "Example:\n  fnimage init --name hello functions/hello",
           [arguments](Session& session) { return run_init(*arguments, session); });
}

}  // namespace fnimage::cli
