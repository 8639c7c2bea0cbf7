// How a command joins the program: it adds its subcommand, and when that is chosen leaves an action
// to be run after all arguments are read. Thread-safety: belongs to one thread.
#pragma once

#include <functional>

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

void add_init(CLI::App& app, Registration registration);
void add_build(CLI::App& app, Registration registration);
void add_push(CLI::App& app, Registration registration);
void add_pull(CLI::App& app, Registration registration);
void add_copy(CLI::App& app, Registration registration);
void add_inspect(CLI::App& app, Registration registration);
void add_digest(CLI::App& app, Registration registration);
void add_images(CLI::App& app, Registration registration);
void add_doctor(CLI::App& app, Registration registration);
void add_login(CLI::App& app, Registration registration);
void add_logout(CLI::App& app, Registration registration);
void add_tag(CLI::App& app, Registration registration);
void add_tags(CLI::App& app, Registration registration);
void add_rm(CLI::App& app, Registration registration);
void add_manifest(CLI::App& app, Registration registration);

}  // namespace fnimage::cli
