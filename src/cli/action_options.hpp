// What the commands that ask a running action have in common. Thread-safety: plain values.
#pragma once

#include <string>
#include <string_view>

#include <fnimage/action/client.hpp>
#include <fnimage/base/result.hpp>

#include "session.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

struct ActionOptions {
  std::string url;
  bool knative = false;
  double timeout = 60;  ///< seconds
  double wait = 0;      ///< seconds
};

/// --knative, --timeout, --wait.
void add_action_options(CLI::App& command, ActionOptions& options, const char* group);

/// A client of the action, which answers already when --wait was given. Errors: invalid_argument
/// for the URL, unavailable when nothing answers.
Result<action::Client> open_action(const ActionOptions& options, Session& session);

/// JSON object or array: the text itself, `@FILE`, or `-` for standard input. @param what for
/// messages.
Result<std::string> read_arguments(const std::string& text, std::string_view what);

}  // namespace fnimage::cli
