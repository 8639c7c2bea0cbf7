// What a transfer has to move: the tree below one manifest, less what the destination has.
// Private to registry. Thread-safety: planning runs on a pool; the plan is a value.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry::detail {

/// A manifest below the root that the destination does not have.
struct PlannedManifest {
  manifest::Document document;
  std::string what;  ///< for messages: "manifest sha256:… (linux/ppc64le)"
};

struct PlannedBlob {
  manifest::Descriptor blob;
  std::string kind;                    ///< "config", "layer"
  std::vector<std::string> platforms;  ///< that use it; empty = not known
  [[nodiscard]] std::string label() const;
};

struct TransferPlan {
  manifest::Document root;
  std::vector<std::vector<PlannedManifest>> levels;  ///< below the root, nearest first
  std::vector<PlannedBlob> blobs;                    ///< each digest once
};

/// Reads the tree of `selector` from `from`, asking `to` for each child first.
/// Errors: not_found (names a child that neither has), invalid_input (too deep, too large,
/// contradictions), verification.
Result<TransferPlan> plan_transfer(ImageStore& from, const Selector& selector, ImageStore& to,
                                   WorkerPool& pool);

}  // namespace fnimage::registry::detail
