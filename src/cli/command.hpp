// How a command joins the program: when it is chosen, it says which arguments it takes, and leaves
// an action to be run after all of them are read. Thread-safety: belongs to one thread.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>

#include <fnimage/base/result.hpp>

#include "session.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

using Action = std::function<Result<void>(Session&)>;

/// Where commands put the options they share and the action to run. Outlived by both.
struct Registration {
  Settings& settings;
  Action& action;
};

/// Gives a command its options, and the action that it leaves.
using SetUp = void (*)(CLI::App& command, Registration registration);

struct CommandEntry {
  const char* name;
  const char* description;
  SetUp set_up;
};

/// Adds subcommands, each of which is set up when it is chosen: options are hundreds in all, and
/// most of what a short command would take.
void add_commands(CLI::App& parent, Registration registration,
                  std::initializer_list<CommandEntry> entries);

/// The REF of commands that read one image, wherever it is kept.
void add_image_argument(CLI::App& command, std::string& reference);

/// Ends a set-up: the options that all commands have, what --help says below them, and the action.
void complete(CLI::App& command, Registration registration, const char* footer, Action action);
/// The same of a command that speaks to registries, with the options about these.
void complete_with_registry(CLI::App& command, Registration registration, const char* footer,
                            Action action);

void set_up_init(CLI::App& command, Registration registration);
void set_up_build(CLI::App& command, Registration registration);
void set_up_lock(CLI::App& command, Registration registration);
void set_up_run(CLI::App& command, Registration registration);
void set_up_push(CLI::App& command, Registration registration);
void set_up_pull(CLI::App& command, Registration registration);
void set_up_copy(CLI::App& command, Registration registration);
void set_up_sync(CLI::App& command, Registration registration);
void set_up_inspect(CLI::App& command, Registration registration);
void set_up_resolve(CLI::App& command, Registration registration);
void set_up_lint(CLI::App& command, Registration registration);
void set_up_place(CLI::App& command, Registration registration);
void set_up_check(CLI::App& command, Registration registration);
void set_up_invoke(CLI::App& command, Registration registration);
void set_up_sbom(CLI::App& command, Registration registration);
void set_up_digest(CLI::App& command, Registration registration);
void set_up_images(CLI::App& command, Registration registration);
void set_up_doctor(CLI::App& command, Registration registration);
void set_up_login(CLI::App& command, Registration registration);
void set_up_logout(CLI::App& command, Registration registration);
void set_up_tag(CLI::App& command, Registration registration);
void set_up_tags(CLI::App& command, Registration registration);
void set_up_rm(CLI::App& command, Registration registration);
void set_up_manifest(CLI::App& command, Registration registration);
void set_up_serve(CLI::App& command, Registration registration);
void set_up_layer(CLI::App& command, Registration registration);

}  // namespace fnimage::cli
