// The parameters that a notebook's cell declares: statements `name = value` and
// `name: annotation = value` at its top level. What kind of value a parameter takes is said by its
// annotation (bool, int, float, str, list, dict), else by its value where that is a literal.
// notebook_parameters.py of the notebook runtime reads them by the same rules. Private to notebook.
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace fnimage::notebook {

/// The JSON Schema of an object that holds some of the parameters, and nothing else: types,
/// defaults, and what comments say behind the statements.
nlohmann::ordered_json parameter_schema(std::string_view cell);

}  // namespace fnimage::notebook
