// OpenWhisk's pod template and its tags of invokers. Its invoker adds a nodeSelectorTerm of its own
// to the template's, and Kubernetes ORs terms: a template's affinity would be weakened by it, a
// nodeSelector is not. It overwrites the resources of the action's container. Sources:
// WhiskPodBuilder.scala, docs/tag-based-scheduling.md.
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/quantity.hpp>

#include "formats.hpp"

namespace fnimage::place {

namespace {

using require::Expression;
using require::Operator;
using require::Term;

/// What OpenWhisk's own affinity asks for by default (whisk.kubernetes.user-pod-node-affinity).
const Expression& invoker_role() {
  static const Expression role{"openwhisk-role", Operator::in, {"invoker"}};
  return role;
}

Result<std::uint64_t> amount_of(const Placement& placement, const std::string& name,
                                std::uint64_t per_unit) {
  const auto found = placement.resources.find(name);
  return found == placement.resources.end() ? Result<std::uint64_t>(0)
                                            : node::parse_quantity(found->second, per_unit);
}

/// Where the action's own resources are said.
Result<void> add_resource_comments(Draft& draft, const Placement& placement) {
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;
  constexpr std::uint64_t thousandths = 1000;
  FNIMAGE_TRY(const std::uint64_t memory, amount_of(placement, "memory", 1));
  FNIMAGE_TRY(const std::uint64_t cpu, amount_of(placement, "cpu", thousandths));
  if (memory > 0) {
    const std::uint64_t megabytes = memory / mebibyte + (memory % mebibyte == 0 ? 0 : 1);
    draft.comments.push_back(
        fmt::format("The image needs memory: wsk action update --memory {} (whisk.memory.max has "
                    "to allow it).",
                    megabytes));
  }
  if (cpu > 0) {
    draft.comments.push_back(
        fmt::format("The image needs {} millicpus: whisk.kubernetes.cpu-scaling has to come to "
                    "that for the action's memory.",
                    cpu));
  }
  return {};
}

/// The words that tags are made of; an invoker has those that hold on its nodes.
struct Tags {
  std::vector<std::string> words{};
  Json meanings = Json::array();
};

void add_tag(Tags& tags, std::string word, const Expression& expression) {
  tags.meanings.push_back(
      {{"tag", word},
       {"nodes", node_selector_json({{expression}})["nodeSelectorTerms"][0]["matchExpressions"]}});
  tags.words.push_back(std::move(word));
}

std::string word_of(const Expression& expression) {
  if (expression.key == os_label || expression.key == architecture_label) {
    return join(expression.values, "-or-");
  }
  if (expression.op == Operator::in) {
    return expression.key + "=" + join(expression.values, "-or-");
  }
  return fmt::format("{} {}{}{}", expression.key, require::to_string(expression.op),
                     expression.values.empty() ? "" : " ", join(expression.values, ","));
}

/// "gpu" for "nvidia.com/gpu", "tpu" for "google.com/tpu".
std::string word_of_device(const std::string& resource, const std::string& amount) {
  const std::string name = resource.substr(resource.rfind('/') + 1);
  return amount == "1" ? name : fmt::format("{}-{}", name, amount);
}

Result<Tags> tags_of(const Placement& placement) {
  if (placement.terms.size() != 1) {
    return fail(ErrorCode::unsupported,
                fmt::format("an action asks for invokers that have all of its tags, and this image "
                            "may run on nodes of {} kinds",
                            placement.terms.size()),
                "use --platform for one architecture at a time, or --format openwhisk");
  }
  Tags tags;
  for (const Expression& expression : placement.terms.front()) {
    // Everybody's invokers run on Linux.
    if (expression.key != os_label || expression.values != std::vector<std::string>{"linux"}) {
      add_tag(tags, word_of(expression), expression);
    }
  }
  for (const std::string& device : devices_of(placement)) {
    tags.words.push_back(word_of_device(device, placement.resources.at(device)));
    tags.meanings.push_back(
        {{"tag", tags.words.back()}, {"resources", {{device, placement.resources.at(device)}}}});
  }
  return tags;
}

}  // namespace

Result<Draft> draft_openwhisk(const Placement& placement) {
  const std::vector<std::string> devices = devices_of(placement);
  if (!devices.empty()) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("OpenWhisk overwrites the resources of an action's container with memory "
                    "and cpu, so that no template can ask for {}",
                    join(devices, ", ")),
        "use --format json-patch in an admission webhook for pods with the label "
        "user-action-pod=true, or --format invoker-tags");
  }
  Draft draft;
  draft.comments = {"whisk.kubernetes.pod-template of the invokers that run this image."};
  Split split = split_terms(placement.terms);
  Json spec = Json::object();
  if (!split.selector.empty()) {
    spec["nodeSelector"] = selector_json(split.selector);
  }
  if (split.rest.empty()) {
    draft.comments.emplace_back(
        "A nodeSelector says it all, and whisk.kubernetes.user-pod-node-affinity may stay on.");
  } else {
    for (Term& term : split.rest) {
      term.push_back(invoker_role());
    }
    spec["affinity"] = affinity_json(split.rest);
    draft.comments.emplace_back(
        "Switch whisk.kubernetes.user-pod-node-affinity.enabled to false: the invoker appends its");
    draft.comments.emplace_back(
        "term to these, terms are ORed, and pods would go to any node with that label. What it");
    draft.comments.emplace_back(
        "asks for, openwhisk-role=invoker, is in the terms below; change it where yours differs.");
  }
  if (!placement.tolerations.empty()) {
    spec["tolerations"] = tolerations_json(placement.tolerations);
  }
  FNIMAGE_CHECK(add_resource_comments(draft, placement));
  spec["containers"] = Json::array({{{"name", std::string(openwhisk_container)}}});
  draft.documents.push_back({{"apiVersion", "v1"},
                             {"kind", "Pod"},
                             {"metadata", Json::object()},
                             {"spec", std::move(spec)}});
  return draft;
}

Result<Draft> draft_invoker_tags(const Placement& placement) {
  FNIMAGE_TRY(Tags tags, tags_of(placement));
  Draft draft;
  const Json words = tags.words;
  draft.comments.emplace_back("The action asks for tags; invokers have them in");
  draft.comments.emplace_back(
      "whisk.invoker.resource.tags, each tag on all nodes that it is about, and only there:");
  draft.comments.push_back(
      fmt::format("  wsk action update ACTION -a invoker-resources '{}'", words.dump()));
  draft.comments.emplace_back(
      "Give tags to all invokers. An action without the annotation goes to untagged invokers "
      "first");
  draft.comments.emplace_back(
      "and, when these are busy, to tagged ones: also to one of another architecture, where its");
  draft.comments.emplace_back("image does not start.");
  FNIMAGE_CHECK(add_resource_comments(draft, placement));
  if (!placement.tolerations.empty()) {
    draft.comments.emplace_back("Taints are a matter of the invokers' own pods.");
  }
  draft.documents.push_back(
      {{"annotations", {{"invoker-resources", words}, {"invoker-resources-strict-policy", true}}},
       {"whisk.invoker.resource.tags", std::move(tags.meanings)}});
  return draft;
}

}  // namespace fnimage::place
