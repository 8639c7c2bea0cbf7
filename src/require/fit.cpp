// See the header. A taint is tolerated by core/v1's rules (Toleration.ToleratesTaint), and a
// cordoned node counts as tainted, as for the scheduler's plugin NodeUnschedulable.
#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/quantity.hpp>
#include <fnimage/require/fit.hpp>

#include "words.hpp"

namespace fnimage::require {

namespace {

constexpr std::string_view cpu = "cpu";
constexpr std::string_view memory = "memory";
constexpr std::size_t shown_value = 80;

/// What the scheduler counts with.
const node::Resources& offered_by(const node::Node& node) {
  const node::Resources& allocatable = node.allocatable;
  const bool is_said =
      allocatable.cpu_millis || allocatable.memory_bytes || !allocatable.others.empty();
  return is_said ? allocatable : node.capacity;
}

/// Nullopt: it does not say.
std::optional<std::uint64_t> amount_of(const node::Resources& resources, const std::string& name) {
  if (name == cpu) {
    return resources.cpu_millis;
  }
  if (name == memory) {
    return resources.memory_bytes;
  }
  const auto found = resources.others.find(name);
  return found == resources.others.end() ? std::nullopt : std::optional(found->second);
}

/// A described node that does not list a device has none of it.
bool lacks_unlisted(const node::Node& node, const std::string& name) {
  return node.is_described && name != cpu && name != memory;
}

std::string amount_text(std::string_view name, std::uint64_t amount) {
  return name == cpu ? node::millis_text(amount) : node::quantity_text(amount);
}

bool covers(const Toleration& toleration, const node::Taint& taint) {
  return (toleration.effect.empty() || toleration.effect == taint.effect) &&
         (toleration.key.empty() || toleration.key == taint.key) &&
         (toleration.value.empty() || toleration.value == taint.value);
}

/// What a cordoned node bears.
const node::Taint& cordon() {
  static const node::Taint taint{"node.kubernetes.io/unschedulable", "", "NoSchedule"};
  return taint;
}

/// Said by other fields of a node.
bool is_said_elsewhere(const node::Taint& taint, const node::Node& node) {
  return taint.key == "node.kubernetes.io/not-ready" ||
         taint.key == "node.kubernetes.io/unreachable" ||
         (node.unschedulable && taint.key == cordon().key);
}

bool keeps_away(const node::Taint& taint) {
  return taint.effect == "NoSchedule" || taint.effect == "NoExecute";
}

std::string taint_text(const node::Taint& taint) {
  return fmt::format("{}{}{}:{}", printable(taint.key, shown_value), taint.value.empty() ? "" : "=",
                     printable(taint.value, shown_value), printable(taint.effect, shown_value));
}

bool says(const LabelNeed& need, const node::Node& node) {
  return std::any_of(need.any.begin(), need.any.end(),
                     [&](const Term& term) { return matches(term, node.labels); });
}

/// Whether the labels that the node does not have could make it hold.
bool could_hold(const Term& term, const node::Node& node) {
  return std::all_of(term.begin(), term.end(), [&](const Expression& expression) {
    return !node.labels.contains(expression.key) || matches(expression, node.labels);
  });
}

/// Of a need that does not hold.
bool is_unknown(const LabelNeed& need, const node::Node& node) {
  const bool knows_level = !need.cpu_level.empty() && !node.machine.cpu_variant.empty();
  return !node.is_described && !knows_level &&
         std::any_of(need.any.begin(), need.any.end(),
                     [&](const Term& term) { return could_hold(term, node); });
}

/// The labels that a need is about, each once, in the terms' order.
std::vector<std::string> keys_of(const LabelNeed& need) {
  std::vector<std::string> keys;
  for (const Term& term : need.any) {
    for (const Expression& expression : term) {
      if (std::find(keys.begin(), keys.end(), expression.key) == keys.end()) {
        keys.push_back(expression.key);
      }
    }
  }
  return keys;
}

/// What the node says of these labels, and which it says nothing of.
struct Said {
  std::vector<std::string> labels{};
  std::vector<std::string> absent{};
};

Said said_of(const LabelNeed& need, const node::Node& node) {
  Said said;
  for (const std::string& key : keys_of(need)) {
    const auto label = node.labels.find(key);
    if (label == node.labels.end()) {
      said.absent.push_back(key);
    } else {
      said.labels.push_back(fmt::format("{}={}", key, printable(label->second, shown_value)));
    }
  }
  return said;
}

}  // namespace

Needs::Needs(const Requirements& requirements, const manifest::Platform& platform)
    : architecture_(platform.architecture),
      labels_(label_needs(requirements, platform)),
      tolerations_(tolerations_of(requirements, platform)) {
  if (requirements.cpu_millis) {
    amounts_.push_back({std::string(cpu), *requirements.cpu_millis});
  }
  if (requirements.memory_bytes) {
    amounts_.push_back({std::string(memory), *requirements.memory_bytes});
  }
  for (const auto& [name, count] : extended_resources(requirements)) {
    amounts_.push_back({name, count});
  }
  tolerates_cordon_ = tolerates(cordon());
}

bool Needs::tolerates(const node::Taint& taint) const {
  return std::any_of(tolerations_.begin(), tolerations_.end(),
                     [&](const Toleration& toleration) { return covers(toleration, taint); });
}

bool Needs::reaches(const node::Node& node, const LabelNeed& need) const {
  return !node.is_described && !need.cpu_level.empty() &&
         reaches_level(architecture_, node.machine.cpu_variant, need.cpu_level);
}

bool Needs::has_resources(const node::Node& node, bool unsaid) const {
  const node::Resources& offered = offered_by(node);
  return std::all_of(amounts_.begin(), amounts_.end(), [&](const Amount& amount) {
    const auto has = amount_of(offered, amount.name);
    return has ? *has >= amount.needed : unsaid && !lacks_unlisted(node, amount.name);
  });
}

bool Needs::has_labels(const node::Node& node, bool unsaid) const {
  return std::all_of(labels_.begin(), labels_.end(), [&](const LabelNeed& need) {
    return says(need, node) || reaches(node, need) || (unsaid && is_unknown(need, node));
  });
}

bool Needs::tolerates_all(const node::Node& node) const {
  if (node.unschedulable && !tolerates_cordon_) {
    return false;
  }
  return std::all_of(node.taints.begin(), node.taints.end(), [&](const node::Taint& taint) {
    return !keeps_away(taint) || is_said_elsewhere(taint, node) || tolerates(taint);
  });
}

bool Needs::fits(const node::Node& node) const {
  return has_resources(node, true) && has_labels(node, true) && tolerates_all(node);
}

bool Needs::surely_fits(const node::Node& node) const {
  return has_resources(node, false) && has_labels(node, false) && tolerates_all(node);
}

void Needs::judge_resources(const node::Node& node, Fit& fit) const {
  const node::Resources& offered = offered_by(node);
  for (const Amount& amount : amounts_) {
    const auto has = amount_of(offered, amount.name);
    const std::string needed = amount_text(amount.name, amount.needed);
    if (!has && lacks_unlisted(node, amount.name)) {
      fit.lacks.push_back(fmt::format("has no {} ({} needed)", amount.name, needed));
    } else if (!has) {
      fit.unknown.push_back(fmt::format("does not say its {} ({} needed)", amount.name, needed));
    } else if (*has < amount.needed) {
      fit.lacks.push_back(fmt::format("has {} {} ({} needed)", amount_text(amount.name, *has),
                                      amount.name, needed));
    }
  }
}

void Needs::judge_labels(const node::Node& node, Fit& fit) const {
  for (const LabelNeed& need : labels_) {
    if (says(need, node) || reaches(node, need)) {
      continue;
    }
    const Said said = said_of(need, node);
    if (is_unknown(need, node)) {
      fit.unknown.push_back(
          fmt::format("does not say its label {} ({})", said.absent.front(), need.text));
    } else if (!node.is_described && !need.cpu_level.empty() && said.labels.empty()) {
      fit.lacks.push_back(fmt::format("is of level {} ({})",
                                      printable(node.machine.cpu_variant, shown_value), need.text));
    } else if (said.labels.empty()) {
      fit.lacks.push_back(fmt::format("has no label {} ({})", said.absent.front(), need.text));
    } else {
      fit.lacks.push_back(fmt::format("has label {} ({})", join(said.labels, ", "), need.text));
    }
  }
}

void Needs::judge_taints(const node::Node& node, Fit& fit) const {
  if (node.unschedulable && !tolerates_cordon_) {
    fit.lacks.emplace_back("takes no new pods (cordoned)");
  }
  for (const node::Taint& taint : node.taints) {
    if (keeps_away(taint) && !is_said_elsewhere(taint, node) && !tolerates(taint)) {
      fit.lacks.push_back(
          fmt::format("has the taint {}, which is not tolerated", taint_text(taint)));
    }
  }
}

Fit Needs::fit(const node::Node& node) const {
  Fit fit;
  judge_resources(node, fit);
  judge_labels(node, fit);
  judge_taints(node, fit);
  return fit;
}

Fit fit(const Requirements& requirements, const manifest::Platform& platform,
        const node::Node& node) {
  return Needs(requirements, platform).fit(node);
}

bool fits(const Requirements& requirements, const manifest::Platform& platform,
          const node::Node& node) {
  return Needs(requirements, platform).fits(node);
}

}  // namespace fnimage::require
