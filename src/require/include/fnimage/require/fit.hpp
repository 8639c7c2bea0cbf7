// Whether a node has what a function needs. Thread-safety: immutable values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/require/requirements.hpp>
#include <fnimage/require/selection.hpp>

namespace fnimage::require {

/// Texts are printable and follow the node's name.
struct Fit {
  /// What it lacks: "has no label nvidia.com/gpu.memory (16384 MiB or more are needed)".
  std::vector<std::string> lacks{};
  /// What it does not say; a node given by its platform alone says nothing: "does not say its
  /// memory (8Gi needed)".
  std::vector<std::string> unknown{};

  [[nodiscard]] bool is_good() const { return lacks.empty(); }
};

/// Requirements in the form in which many nodes are asked for them.
class Needs {
 public:
  Needs(const Requirements& requirements, const manifest::Platform& platform);

  /// The node as the scheduler sees it when nothing else runs there: allocatable, else capacity;
  /// labels; taints that nothing tolerates, but for those that say that it is not ready, since
  /// Node::ready does; not its platform.
  [[nodiscard]] Fit fit(const node::Node& node) const;

  /// fit().is_good(), without its texts; allocates nothing.
  [[nodiscard]] bool fits(const node::Node& node) const;

  /// The same when nothing is unknown either.
  [[nodiscard]] bool surely_fits(const node::Node& node) const;

 private:
  struct Amount {
    std::string name;
    std::uint64_t needed = 0;
  };

  void judge_resources(const node::Node& node, Fit& fit) const;
  void judge_labels(const node::Node& node, Fit& fit) const;
  void judge_taints(const node::Node& node, Fit& fit) const;
  /// @param unsaid whether what the node does not say will do
  [[nodiscard]] bool has_resources(const node::Node& node, bool unsaid) const;
  [[nodiscard]] bool has_labels(const node::Node& node, bool unsaid) const;
  [[nodiscard]] bool tolerates_all(const node::Node& node) const;
  [[nodiscard]] bool tolerates(const node::Taint& taint) const;
  [[nodiscard]] bool reaches(const node::Node& node, const LabelNeed& need) const;

  std::string architecture_;
  std::vector<Amount> amounts_;
  std::vector<LabelNeed> labels_;
  std::vector<Toleration> tolerations_;
  bool tolerates_cordon_ = false;
};

/// Needs(requirements, platform).fit(node)
Fit fit(const Requirements& requirements, const manifest::Platform& platform,
        const node::Node& node);

/// Needs(requirements, platform).fits(node); for more than one node keep the Needs.
bool fits(const Requirements& requirements, const manifest::Platform& platform,
          const node::Node& node);

}  // namespace fnimage::require
