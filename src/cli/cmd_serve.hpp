// What fnimage serve and its subcommands share.
#pragma once

#include "command.hpp"

namespace fnimage::cli {

void set_up_serve_gc(CLI::App& command, Registration registration);
void set_up_serve_token(CLI::App& command, Registration registration);

}  // namespace fnimage::cli
