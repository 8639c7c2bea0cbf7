// What Kubernetes' scheduler makes of a pod, as far as placing goes: nodeSelector and affinity,
// taints, resources. Written from the API's documentation alone, on JSON alone, so that it shares
// no mistake with what it judges.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace fnimage::place::kubernetes {

using nlohmann::json;

/// A quantity in thousandths. Aborts the test for what is none.
double quantity(const json& text);

/// Whether labels satisfy nodeSelector AND the required node affinity of a pod's spec.
bool selects(const json& spec, const json& labels);
/// Whether the spec tolerates the node's taints; a cordoned node has one more.
bool tolerates(const json& spec, const json& node);
/// Whether what the containers request is there.
bool has_room(const json& spec, const json& node);
/// All three, for a Node object.
bool schedules(const json& spec, const json& node);

}  // namespace fnimage::place::kubernetes
