// Asking people for a name or a secret. Thread-safety: one thread.
#pragma once

#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage::cli {

/// One line from the terminal (not standard input), shown while it is typed only with `echo`.
/// Errors: invalid_argument when there is no terminal, cancelled after Ctrl-C or at the end.
Result<std::string> ask_terminal(std::string_view question, bool echo);

/// Standard input to its end, without the last line end. @param what it is, for messages. Error:
/// invalid_argument when it is empty.
Result<std::string> secret_from_input(std::string_view what);

}  // namespace fnimage::cli
