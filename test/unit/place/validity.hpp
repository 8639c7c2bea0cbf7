// Whether the API server would accept an object: names, labels, operators, quantities, tolerations
// (apimachinery util/validation, core validation), and the shapes of the other platforms' objects.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace fnimage::place::validity {

/// What is wrong with a pod's spec; empty = nothing.
/// @param whole with containers that are complete
std::vector<std::string> faults_of_spec(const nlohmann::json& spec, bool whole);
/// Of an object with apiVersion, kind and a name.
std::vector<std::string> faults_of_object(const nlohmann::json& object);

}  // namespace fnimage::place::validity
