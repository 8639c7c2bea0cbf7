// YAML as the JSON that Kubernetes makes of it, within limits. Private to node. As for build files
// anchors, aliases, tags and duplicate keys are refused; what is not quoted is read by YAML 1.2's
// core schema, as far as JSON has a word for it. Thread-safety: a pure function.
#pragma once

#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/result.hpp>

namespace fnimage::node {

/// The documents of a text, those that are empty left out. Error: invalid_input with
/// "name:line:column: …".
Result<std::vector<nlohmann::json>> parse_yaml_documents(std::string_view text,
                                                         std::string_view name);

}  // namespace fnimage::node
