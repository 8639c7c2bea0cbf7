// Whether a node has what a function needs. Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include <fnimage/manifest/platform.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/require/requirements.hpp>

namespace fnimage::require {

struct Fit {
  /// What it lacks, printable: "has no label nvidia.com/gpu.memory (16384 or more is needed)".
  std::vector<std::string> lacks{};
  /// What it does not say; a node given by its platform alone says nothing.
  std::vector<std::string> unknown{};

  [[nodiscard]] bool is_good() const { return lacks.empty(); }
};

/// The node as the scheduler sees it when nothing else runs there: allocatable, else capacity;
/// labels by terms_of(); taints that nothing tolerates; not whether it is ready.
Fit fit(const Requirements& requirements, const manifest::Platform& platform,
        const node::Node& node);

/// fit().is_good(), without its texts.
bool fits(const Requirements& requirements, const manifest::Platform& platform,
          const node::Node& node);

}  // namespace fnimage::require
