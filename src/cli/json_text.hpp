// JSON as people and programs read it. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <fnimage/report/json.hpp>

namespace fnimage::cli {

/// Valid JSON, indented. Works on the text, so that order and spelling stay as they are.
std::string indent_json(std::string_view text);

/// Valid JSON without blanks; order and spelling stay as they are.
std::string compact_json(std::string_view text);

/// Indented text of a value of ours, with a line end.
std::string json_lines(const nlohmann::ordered_json& value);

using report::to_json;

}  // namespace fnimage::cli
