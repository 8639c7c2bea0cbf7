// A described image or list as a tree for people and as JSON for programs. Thread-safety: pure
// functions.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <fnimage/build/describe.hpp>

namespace fnimage::cli {

std::string to_tree(const build::Description& description, std::string_view name);
nlohmann::ordered_json to_json(const build::Description& description, std::string_view name);

}  // namespace fnimage::cli
