// See command.hpp.
#include "command.hpp"

#include <utility>

#include <CLI/CLI.hpp>

namespace fnimage::cli {

namespace {

/// An option takes one argument each time: what follows is the command's own. CLI11 would give an
/// option that may be repeated all that follows it.
void take_one_value_each(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (!option->get_positional() && option->get_items_expected_max() > 1) {
      option->allow_extra_args(false);
    }
  }
}

}  // namespace

void add_commands(CLI::App& parent, Registration registration,
                  std::initializer_list<CommandEntry> entries) {
  for (const CommandEntry& entry : entries) {
    CLI::App& command = *parent.add_subcommand(entry.name, entry.description);
    const SetUp set_up = entry.set_up;
    command.preparse_callback([&command, set_up, registration](std::size_t /*arguments*/) {
      set_up(command, registration);
      take_one_value_each(command);
    });
  }
}

void add_image_argument(CLI::App& command, std::string& reference) {
  command
      .add_option("REF", reference,
                  "registry/name:tag, oci:DIR[:tag], oci-archive:FILE[:tag], "
                  "docker-archive:FILE[:name:tag], "
                  "or a name in the local store")
      ->required();
}

void complete(CLI::App& command, Registration registration, const char* footer, Action action) {
  add_common_options(command, registration.settings.common);
  command.footer(footer);
  command.callback([registration, action = std::move(action)] { registration.action = action; });
}

void complete_with_registry(CLI::App& command, Registration registration, const char* footer,
                            Action action) {
  complete(command, registration, footer, std::move(action));
  add_registry_options(command, registration.settings.registry);
}

}  // namespace fnimage::cli
