// JSON values as YAML 1.1 and 1.2 text that reads back as the same. Private to place.
// Thread-safety: a pure function.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace fnimage::place {

/// Block style, with a line end. Strings are plain only when no YAML takes them for something else.
std::string to_yaml(const nlohmann::ordered_json& value);

}  // namespace fnimage::place
