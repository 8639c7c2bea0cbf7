// The formats, one function each. Private to place. Thread-safety: value types and pure functions.
#pragma once

#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/place/format.hpp>

#include "affinity.hpp"

namespace fnimage::place {

/// What a format comes to.
struct Draft {
  std::vector<Json> documents{};        ///< several: a List of them in JSON
  std::vector<std::string> comments{};  ///< what else is to do; above the documents in YAML
};

Result<Draft> draft_selector(const Placement& placement);
Draft draft_affinity(const Placement& placement);
Result<Draft> draft_json_patch(const Placement& placement, const nlohmann::json* pod);
Result<Draft> draft_openwhisk(const Placement& placement);
Result<Draft> draft_invoker_tags(const Placement& placement);
Result<Draft> draft_knative(const Placement& placement, const Target& target);
Result<Draft> draft_openfaas(const Placement& placement, const Target& target);
Result<Draft> draft_pod(const Placement& placement, const Target& target);
Result<Draft> draft_nfd(const Placement& placement);

/// Those that are counted whole: devices.
std::vector<std::string> devices_of(const Placement& placement);

/// The container name of pods that are made up here.
inline constexpr std::string_view container_name = "function";
/// What OpenWhisk calls the container that it runs an action in (WhiskPodBuilder.scala,
/// actionContainerName).
inline constexpr std::string_view openwhisk_container = "user-action";
/// What the runtimes serve on.
inline constexpr int action_port = 8080;

}  // namespace fnimage::place
