// What is common to all runtimes: the demand, the best candidate, and what becomes of each entry.
#include <algorithm>
#include <string>
#include <utility>

#include <fnimage/base/text.hpp>

#include "runtime_rules.hpp"

namespace fnimage::manifest {

namespace {

std::string_view name_in_sentences(RuntimeKind kind) noexcept {
  switch (kind) {
    case RuntimeKind::containerd:
    case RuntimeKind::containerd_client:
      return "containerd";
    case RuntimeKind::crio:
      return "CRI-O";
    case RuntimeKind::docker:
    case RuntimeKind::docker_containerd:
      return "Docker";
    case RuntimeKind::go_containerregistry:
      return "go-containerregistry";
  }
  return {};
}

bool says_unknown(const PlatformWords& words) noexcept {
  return equals_ignoring_case(words.os, "unknown") ||
         equals_ignoring_case(words.architecture, "unknown");
}

std::vector<std::string_view> sorted_features(const Platform& platform) {
  std::vector<std::string_view> features(platform.os_features.begin(), platform.os_features.end());
  std::sort(features.begin(), features.end());
  return features;
}

Outcome outcome_of(const Demand& demand, const Index& list) {
  Outcome outcome;
  for (std::size_t i = 0; i < list.manifests.size(); ++i) {
    const Standing standing = standing_of(demand, list.manifests[i]);
    if (standing.is_candidate() && (!outcome.best || standing.key() < outcome.standing.key())) {
      outcome = {i, standing};
    }
  }
  return outcome;
}

/// containerd looks for the best that runs, whether or not the pull before has downloaded it.
std::optional<std::size_t> taken_in(const Outcome& outcome) noexcept {
  return outcome.standing.is_fetched ? outcome.best : std::nullopt;
}

}  // namespace

Demand demand_of(const Runtime& runtime, const NodeMachine& node, Format format) {
  Demand demand;
  demand.kind = runtime.kind;
  demand.runtime = name_in_sentences(runtime.kind);
  demand.is_docker_list = format == Format::docker;
  demand.words = {node.platform.os, node.platform.architecture, node.platform.variant};
  demand.is_unknown = says_unknown(demand.words);
  if (!node.platform.os_features.empty()) {
    demand.features = sorted_features(node.platform);
  }
  switch (runtime.kind) {
    case RuntimeKind::crio:
      demand_like_crio(demand);
      break;
    case RuntimeKind::go_containerregistry:
      demand.is_literal = true;
      demand.compares_features = true;
      demand.os_version = node.platform.os_version;
      break;
    default:
      demand_like_containerd(demand, runtime, node);
  }
  return demand;
}

Standing standing_of(const Demand& demand, const Descriptor& entry) {
  if (entry.platform &&
      (demand.is_unknown || says_unknown({entry.platform->os, entry.platform->architecture, {}}))) {
    return {Cause::attestation};
  }
  switch (demand.kind) {
    case RuntimeKind::crio:
      return standing_in_crio(demand, entry);
    case RuntimeKind::go_containerregistry:
      return standing_in_go_containerregistry(demand, entry);
    default:
      return standing_in_containerd(demand, entry);
  }
}

bool is_same_for(const Demand& demand, std::string_view a, std::string_view b) noexcept {
  return a == b || (!demand.is_literal && equals_ignoring_case(a, b));
}

bool lacks_platform(const Demand& demand, const Descriptor& entry) noexcept {
  if (!entry.platform) {
    return true;
  }
  const Platform& platform = *entry.platform;
  return demand.kind == RuntimeKind::docker && platform.os.empty() &&
         platform.architecture.empty() && platform.variant.empty() && platform.os_version.empty() &&
         platform.os_features.empty();
}

std::optional<std::size_t> taken_by(const Index& list, const Runtime& runtime,
                                    const NodeMachine& node) {
  return taken_in(outcome_of(demand_of(runtime, node, list.format), list));
}

RuntimeChoice choose_for(const Index& list, const Runtime& runtime, const NodeMachine& node) {
  const Demand demand = demand_of(runtime, node, list.format);
  const Outcome outcome = outcome_of(demand, list);
  RuntimeChoice choice{taken_in(outcome), {}};
  choice.verdicts.reserve(list.manifests.size());
  for (std::size_t i = 0; i < list.manifests.size(); ++i) {
    EntryVerdict verdict;
    verdict.is_taken = choice.taken == i;
    if (demand.fetches_all) {
      const Standing standing = standing_of(demand, list.manifests[i]);
      verdict.is_pulled = standing.is_candidate() && standing.is_fetched;
    } else {
      verdict.is_pulled = verdict.is_taken;
    }
    verdict.reason = reason_of(demand, list, outcome, i);
    choice.verdicts.push_back(std::move(verdict));
  }
  return choice;
}

}  // namespace fnimage::manifest
