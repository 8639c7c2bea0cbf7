// What push, build --push and manifest push say of what they have published. Thread-safety: pure
// functions.
#pragma once

#include <string>

#include <fnimage/build/publish.hpp>

#include "session.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

/// The options that the command line has for all of them.
build::PublishOptions publish_options(const Session& session);

/// --no-lint.
void add_no_lint_flag(CLI::App& command, bool& no_lint);

/// One line for people.
std::string to_text(const build::Published& published);

}  // namespace fnimage::cli
