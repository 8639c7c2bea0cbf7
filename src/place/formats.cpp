// Parts of pods, pods, and the platforms that take a pod's fields as they are.
#include "formats.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::place {

namespace {

constexpr std::string_view pods_hint =
    "use --format pod or knative, whose containers say what resources they need";

/// The part of a spec that gives the container its resources.
void add_container_resources(Json& spec, const Placement& placement) {
  if (!placement.resources.empty()) {
    spec["containers"] = Json::array({{{"name", std::string(container_name)},
                                       {"resources", resources_json(placement.resources)}}});
  }
}

std::vector<std::string> part_comments(const Placement& placement) {
  std::vector<std::string> comments{"Part of a pod's spec."};
  if (!placement.resources.empty()) {
    comments.emplace_back("The resources belong to the function's container, whatever its name.");
  }
  return comments;
}

Result<std::string> image_of(const Target& target) {
  if (target.image.empty()) {
    return fail(ErrorCode::invalid_argument, "this format names the image, which is in no registry",
                "push it, and place it by its name there");
  }
  return target.image;
}

Json container_json(const Placement& placement, std::string image) {
  Json container = {{"name", std::string(container_name)}, {"image", std::move(image)}};
  container["ports"] = Json::array({{{"containerPort", action_port}}});
  if (!placement.resources.empty()) {
    container["resources"] = resources_json(placement.resources);
  }
  return container;
}

bool is_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// A DNS label (RFC 1123), beginning with a letter as names of services do.
std::string label_of(const std::string& name) {
  constexpr std::size_t most = 63;
  std::string label;
  for (const char c : to_lower(name)) {
    if (is_alphanumeric(c)) {
      label += c;
    } else if (!label.empty() && label.back() != '-') {
      label += '-';
    }
  }
  if (label.empty() || label.front() < 'a') {
    label.insert(0, label.empty() ? "function" : "function-");
  }
  label.resize(std::min(label.size(), most));
  label.erase(label.find_last_not_of('-') + 1);
  return label;
}

std::string flags_of(const Json& spec) {
  std::vector<std::string> flags;
  for (const auto& [field, flag] : {std::pair("affinity", "kubernetes.podspec-affinity"),
                                    std::pair("nodeSelector", "kubernetes.podspec-nodeselector"),
                                    std::pair("tolerations", "kubernetes.podspec-tolerations")}) {
    if (spec.contains(field)) {
      flags.push_back(fmt::format("\"{}\":\"enabled\"", flag));
    }
  }
  return join(flags, ",");
}

constexpr std::string_view profile_annotation = "com.openfaas.profile";

Result<void> check_openfaas(const Placement& placement) {
  const std::vector<std::string> devices = devices_of(placement);
  if (!devices.empty()) {
    return fail(ErrorCode::unsupported,
                fmt::format("a Function of OpenFaaS asks for cpu and memory, and cannot for {}",
                            join(devices, ", ")),
                std::string(pods_hint));
  }
  return {};
}

}  // namespace

std::vector<std::string> devices_of(const Placement& placement) {
  std::vector<std::string> devices;
  for (const auto& [name, amount] : placement.resources) {
    if (name != "cpu" && name != "memory") {
      devices.push_back(name);
    }
  }
  return devices;
}

Draft draft_affinity(const Placement& placement) {
  Json spec = {{"affinity", affinity_json(placement.terms)}};
  if (!placement.tolerations.empty()) {
    spec["tolerations"] = tolerations_json(placement.tolerations);
  }
  add_container_resources(spec, placement);
  return {{std::move(spec)}, part_comments(placement)};
}

Result<Draft> draft_selector(const Placement& placement) {
  if (const std::string beyond = beyond_selector(placement); !beyond.empty()) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("a nodeSelector has one value for each label, and cannot say {}", beyond),
        "use --format affinity, or --platform for one architecture at a time");
  }
  Json spec = Json::object();
  place_spec(spec, placement);
  add_container_resources(spec, placement);
  return Draft{{std::move(spec)}, part_comments(placement)};
}

Result<Draft> draft_pod(const Placement& placement, const Target& target) {
  FNIMAGE_TRY(std::string image, image_of(target));
  Json spec = Json::object();
  place_spec(spec, placement);
  spec["containers"] = Json::array({container_json(placement, std::move(image))});
  return Draft{{{{"apiVersion", "v1"},
                 {"kind", "Pod"},
                 {"metadata", {{"name", label_of(target.name)}}},
                 {"spec", std::move(spec)}}},
               {}};
}

Result<Draft> draft_knative(const Placement& placement, const Target& target) {
  FNIMAGE_TRY(std::string image, image_of(target));
  Json spec = Json::object();
  place_spec(spec, placement);
  Draft draft;
  draft.comments = {
      "Knative Serving passes these fields on only when they are allowed:",
      fmt::format("  kubectl patch configmap/config-features -n knative-serving --type merge -p "
                  "'{{\"data\":{{{}}}}}'",
                  flags_of(spec)),
      "Images with one of fnimage's runtimes serve Knative with the environment variable",
      "__OW_RUNTIME_PLATFORM=knative."};
  spec["containers"] = Json::array({container_json(placement, std::move(image))});
  draft.documents.push_back({{"apiVersion", "serving.knative.dev/v1"},
                             {"kind", "Service"},
                             {"metadata", {{"name", label_of(target.name)}}},
                             {"spec", {{"template", {{"spec", std::move(spec)}}}}}});
  return draft;
}

Result<Draft> draft_openfaas(const Placement& placement, const Target& target) {
  FNIMAGE_CHECK(check_openfaas(placement));
  FNIMAGE_TRY(std::string image, image_of(target));
  const std::string name = label_of(target.name);
  Json profile = Json::object();
  place_spec(profile, placement);
  Json function = {{"name", name}, {"image", std::move(image)}};
  if (profile.contains("nodeSelector")) {
    Json constraints = Json::array();
    for (const auto& [key, value] : profile["nodeSelector"].items()) {
      constraints.push_back(key + "=" + value.get<std::string>());
    }
    function["constraints"] = std::move(constraints);
    profile.erase("nodeSelector");
  }
  if (!profile.empty()) {
    function["annotations"] = {{std::string(profile_annotation), name}};
  }
  if (!placement.resources.empty()) {
    const Json resources = resources_json(placement.resources);
    for (const auto& [field, amounts] : resources.items()) {
      function[field] = amounts;
    }
  }
  Draft draft;
  draft.documents.push_back({{"apiVersion", "openfaas.com/v1"},
                             {"kind", "Function"},
                             {"metadata", {{"name", name}, {"namespace", "openfaas-fn"}}},
                             {"spec", std::move(function)}});
  if (!profile.empty()) {
    draft.documents.push_back({{"apiVersion", "openfaas.com/v1"},
                               {"kind", "Profile"},
                               {"metadata", {{"name", name}, {"namespace", "openfaas"}}},
                               {"spec", std::move(profile)}});
    draft.comments = {
        "Constraints are exact values of labels, and functions have no tolerations and affinity of",
        "their own: a Profile holds these. Not every edition of OpenFaaS has Profiles; without it",
        "the function is not placed as this image needs."};
  }
  return draft;
}

}  // namespace fnimage::place
