// `fnimage check --run`: holds a running action to the platform's contract. Thread-safety: belongs
// to one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/result.hpp>

#include "action_options.hpp"
#include "session.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

struct CheckActionArguments {
  ActionOptions action;  ///< without URL: an image is checked instead
  std::vector<std::pair<std::string, std::string>> calls;
};

/// --run, --call and what goes with them.
void add_check_action_options(CLI::App& command, CheckActionArguments& arguments);

/// Error: protocol when a check fails.
Result<void> run_check_action(const CheckActionArguments& arguments, Session& session);

}  // namespace fnimage::cli
