// The parts of a pod's spec that place it, as JSON, and what of a placement fits into a
// nodeSelector (core/v1 PodSpec, NodeSelectorTerm, Toleration). Private to place. Thread-safety:
// pure functions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/place/place.hpp>

namespace fnimage::place {

using Json = nlohmann::ordered_json;

/// The field of a node affinity that schedulers must keep to.
inline constexpr std::string_view required_field = "requiredDuringSchedulingIgnoredDuringExecution";

/// Terms cut in two that are ANDed again by Kubernetes.
struct Split {
  std::map<std::string, std::string> selector{};  ///< what all terms have as one label's one value
  std::vector<require::Term> rest{};              ///< none when the selector says everything
};
Split split_terms(const std::vector<require::Term>& terms);

/// {"nodeSelectorTerms": […]}
Json node_selector_json(const std::vector<require::Term>& terms);
/// {"nodeAffinity": {…}}
Json affinity_json(const std::vector<require::Term>& terms);
Json toleration_json(const require::Toleration& toleration);
Json tolerations_json(const std::vector<require::Toleration>& tolerations);
/// {"requests": …, "limits": …}; a processor is asked for and not limited.
Json resources_json(const std::map<std::string, std::string>& resources);
Json selector_json(const std::map<std::string, std::string>& selector);

/// Puts nodeSelector (where that says it all) or affinity, and the tolerations, into a pod's spec.
void place_spec(Json& spec, const Placement& placement);

/// "nvidia.com/gpu.memory Gt 16383": for sentences.
std::string shown_expression(const require::Expression& expression);

/// The first expression that a nodeSelector cannot say, printable; empty = there is none.
std::string beyond_selector(const Placement& placement);

}  // namespace fnimage::place
