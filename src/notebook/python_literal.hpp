// Python's literals as JSON: what ast.literal_eval() takes, as far as JSON has it. Source: The
// Python Language Reference, "Literals". Private to notebook. Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace fnimage::notebook {

/// None, booleans, numbers, strings, lists, tuples and dictionaries of such, also "1, 2". Integers
/// of more than 64 bits become floats, keys that are no strings what json.dumps() makes of them.
/// @param text is read from its front, which then is what follows the literal and blanks.
/// nullopt: it does not begin with a literal, or with one that is nested too deep.
std::optional<nlohmann::ordered_json> read_literal(std::string_view& text);

/// Takes blanks, line ends, comments and continuations from the front.
void skip_blanks(std::string_view& text) noexcept;

}  // namespace fnimage::notebook
