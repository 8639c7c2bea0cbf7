// A placement in the words of the platforms that functions run on. What a format cannot say exactly
// is an error, never left out. Sources: Kubernetes API core/v1, RFC 6902, OpenWhisk's
// WhiskPodBuilder.scala and docs/tag-based-scheduling.md, Knative's feature flags, OpenFaaS's
// Function and Profile. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/place/place.hpp>

namespace fnimage::place {

enum class Format : std::uint8_t {
  affinity,      ///< part of a pod's spec, with nodeAffinity
  selector,      ///< the same with nodeSelector
  json_patch,    ///< RFC 6902, for a Pod
  openwhisk,     ///< whisk.kubernetes.pod-template
  invoker_tags,  ///< OpenWhisk's annotation invoker-resources and the invokers' tags
  knative,       ///< Service
  openfaas,      ///< Function, and the Profile that it needs
  pod,           ///< Pod
  nfd            ///< Node Feature Discovery's image compatibility, see compatibility.hpp
};

/// "affinity", "json-patch", … Error: invalid_argument, naming all.
Result<Format> parse_format(std::string_view word);
std::string_view to_string(Format format) noexcept;

/// What is to run.
struct Target {
  std::string image{};  ///< "registry/repo@sha256:…"; empty = not said
  std::string name{};   ///< of the function: what is no DNS label is made one
  /// The pod to patch, for json_patch; null = one without affinity, nodeSelector and tolerations,
  /// whose first container has no resources.
  const nlohmann::json* pod = nullptr;
};

/// The same in both languages.
struct Rendered {
  std::string yaml;  ///< with what else is to do as comments
  std::string json;  ///< indented, with a line end
};

/// Errors: unsupported for what the format cannot say, with the reason and another format as the
/// hint; invalid_argument for a Target that lacks something, or a pod that can run on none of these
/// nodes; invalid_input for a pod that is none.
Result<Rendered> render(const Placement& placement, Format format, const Target& target);

}  // namespace fnimage::place
