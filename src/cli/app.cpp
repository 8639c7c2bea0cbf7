#include "app.hpp"

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "command.hpp"
#include "credentials.hpp"

namespace fnimage::cli {

namespace {

constexpr const char* about_fnimage =
    "Builds a serverless function for every CPU architecture of a cluster and publishes it\n"
    "under one name: no daemon, no root, no emulator, no Dockerfile.";

constexpr const char* example =
    "Example:\n"
    "  fnimage init hello\n"
    "  fnimage build --push -t registry.example/hello:latest hello\n"
    "`fnimage COMMAND --help` tells more about each command.";

/// The command that the arguments got to before something was wrong.
const CLI::App& deepest(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
  }
  return *command;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::vector<std::string_view> views(candidates.begin(), candidates.end());
  const auto found = nearest(word, views);
  return found ? fmt::format("; did you mean '{}'?", *found) : std::string();
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return names;
}

/// What is wrong with arguments that no command took.
std::string about_extra(const CLI::App& command, const std::string& extra) {
  const std::string shown = printable(extra, 80);
  if (extra.starts_with('-')) {
    const std::string name = extra.substr(0, extra.find('='));
    return fmt::format("unknown option '{}'{}", shown, did_you_mean(name, option_names(command)));
  }
  const std::vector<std::string> commands = command_names(command);
  if (!commands.empty()) {
    return fmt::format("unknown command '{}'{}", shown, did_you_mean(extra, commands));
  }
  return fmt::format("unexpected argument '{}'", shown);
}

/// "fnimage manifest create"
std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? "fnimage" : full_name(*parent) + " " + command.get_name();
}

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = deepest(app);
  const std::vector<std::string> extras = app.remaining(true);
  const std::string message =
      extras.empty() ? printable(error.what()) : about_extra(command, extras.front());
  return Error(ErrorCode::invalid_argument, message)
      .with_hint(fmt::format("see {} --help", full_name(command)));
}

void set_up(CLI::App& app, Registration registration) {
  app.require_subcommand(1);
  app.set_version_flag("--version", "fnimage " FNIMAGE_VERSION);
  app.add_flag("-D,--debug", registration.settings.common.debug, "Say more about what is done");
  app.footer(example);
  add_commands(
      app, registration,
      {
          {"init", "Write a starter build file and handler", set_up_init},
          {"build", "Build every platform of a build file", set_up_build},
          {"lock", "Write down the packages of all platforms", set_up_lock},
          {"run", "Start a function or an image on this machine", set_up_run},
          {"push", "Publish images of the local store", set_up_push},
          {"pull", "Fetch images into the local store", set_up_pull},
          {"copy", "Copy an image or list to another place", set_up_copy},
          {"sync", "Copy many repositories to another place", set_up_sync},
          {"inspect", "Show a list or image as a tree", set_up_inspect},
          {"resolve", "Show what each node takes of a list, and why", set_up_resolve},
          {"lint", "Tell which nodes cannot use a list, and why", set_up_lint},
          {"place", "Say where pods of a list may run, in the platform's words", set_up_place},
          {"check", "Prove that an image can start on its platforms", set_up_check},
          {"invoke", "Call a running action as the platform would", set_up_invoke},
          {"sbom", "Make the bill of materials of an image", set_up_sbom},
          {"digest", "Print the digest of an image or list", set_up_digest},
          {"images", "List the images of the local store", set_up_images},
          {"doctor", "Find out what works at a registry", set_up_doctor},
          {"login", "Try and keep the credentials of a registry", set_up_login},
          {"logout", "Forget the credentials of a registry", set_up_logout},
          {"tag", "Give an image further names", set_up_tag},
          {"tags", "List the tags of a repository", set_up_tags},
          {"rm", "Remove images, or tags of a registry", set_up_rm},
          {"manifest", "Make lists of images that exist, as `docker manifest` does",
           set_up_manifest},
          {"layer", "Change a layer of an image on all its platforms", set_up_layer},
          {"serve", "Serve a directory as a registry", set_up_serve},
      });
}

ConsoleOptions console_options(const CommonOptions& common) {
  return {.progress = progress_mode(common),
          .quiet = common.quiet,
          .debug = common.debug,
          .json = common.json};
}

bool asks_for_json(int argc, const char* const* argv) {
  return std::any_of(argv, argv + argc,
                     [](const char* argument) { return std::string_view(argument) == "--json"; });
}

int perform(const Settings& settings, const Action& action) {
  Console console(console_options(settings.common));
  Session session(settings, console);
  Result<void> result = action(session);
  if (!result) {
    console.print_error(result.error());
  }
  if (const Result<void> closed = console.close(); !closed) {
    console.print_error(closed.error());
    return result ? exit_code(closed.error().code()) : exit_code(result.error().code());
  }
  return result ? session.exit_code() : exit_code(result.error().code());
}

}  // namespace

int run(int argc, const char* const* argv, Interrupt& interrupt) {
  Settings settings;
  settings.stop = interrupt.token();
  settings.interrupt = &interrupt;
  Action action;
  CLI::App app{about_fnimage, "fnimage"};
  set_up(app, {settings, action});
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help and --version
    return app.exit(success, std::cout, std::cerr);
  } catch (const CLI::ParseError& error) {
    Console console({.progress = ProgressMode::plain, .json = asks_for_json(argc, argv)});
    const Error usage = usage_error(app, error);
    console.print_error(usage);
    return exit_code(usage.code());
  }
  const CLI::App& command = deepest(app);
  settings.registry.registries = named_registries(command);
  settings.registry.source.registry = registry_of_argument(command, "SRC");
  settings.registry.destination.registry = registry_of_argument(command, "DST");
  return perform(settings, action);
}

}  // namespace fnimage::cli
