// Requirements in the words of Kubernetes: which labels, resources and taints of a node they are
// about. The one place that knows the labels of Node Feature Discovery and of the vendors' feature
// discovery; judging a node and placing a pod both go by it. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/manifest/platform.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::require {

/// What Node Feature Discovery puts before the name of a processor's feature.
inline constexpr std::string_view cpuid_label = "feature.node.kubernetes.io/cpu-cpuid.";

/// core/v1 NodeSelectorRequirement.
enum class Operator : std::uint8_t { in, not_in, exists, does_not_exist, gt, lt };
/// "In", "NotIn", …
std::string_view to_string(Operator op) noexcept;

struct Expression {
  std::string key;
  Operator op = Operator::in;
  std::vector<std::string> values{};  ///< gt and lt: one whole number

  friend bool operator==(const Expression&, const Expression&) = default;
};
/// core/v1 NodeSelectorTerm: all of them.
using Term = std::vector<Expression>;

/// Whether labels satisfy an expression, by Kubernetes' rules: NotIn and DoesNotExist hold for
/// nodes without the label; Gt and Lt for labels that are whole numbers of 64 bits only.
bool matches(const Expression& expression, const std::map<std::string, std::string>& labels);
/// All of them; a term without expressions holds for all nodes (as an affinity's it would for
/// none).
bool matches(const Term& term, const std::map<std::string, std::string>& labels);

/// One thing that the labels of a node have to say.
struct LabelNeed {
  std::vector<Term> any;    ///< one of them, at least one
  std::string text;         ///< "16384 MiB or more are needed"; printable
  std::string cpu_level{};  ///< the level that it is about; empty = none
};

/// All that labels have to say, without os and architecture.
std::vector<LabelNeed> label_needs(const Requirements& requirements,
                                   const manifest::Platform& platform);

/// The labels of the nodes that will do, without os and architecture: any one of the terms; at
/// least one, which may be empty. Several where one term cannot say it: compute capability 7.5 is
/// major 7 and minor over 4, or major over 7.
std::vector<Term> terms_of(const Requirements& requirements, const manifest::Platform& platform);

/// Devices by the names of their resources: {"nvidia.com/gpu": 1}.
std::map<std::string, std::uint64_t> extended_resources(const Requirements& requirements);

/// What a container asks for: requests and, but for "cpu", limits. Names and quantities as
/// Kubernetes writes them: {"cpu":"4","memory":"8Gi","nvidia.com/gpu":"1"}.
std::map<std::string, std::string> resources_of(const Requirements& requirements);

/// The taints that the function gets along with: the given ones, the one that nodes with its GPU or
/// TPU bear by convention, and `kubernetes.io/arch=<architecture>`.
std::vector<Toleration> tolerations_of(const Requirements& requirements,
                                       const manifest::Platform& platform);

}  // namespace fnimage::require
