// What each node of a cluster takes of a list or image, and what it has to download for it. Lists
// may have variants (annotation io.fnimage.variants: "gpu,avx512"): lists under "<tag>-gpu" and
// "<tag>-avx512", for nodes that have what their images require (io.fnimage.requires).
// Thread-safety: functions that are pure but for the stores; value types.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/runtime_match.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/require/requirements.hpp>
#include <fnimage/resolve/image.hpp>

namespace fnimage::resolve {

/// An image, or a list of them, that all nodes have: of a list what each takes of it.
struct HeldImage {
  registry::ImageStore* store = nullptr;  ///< not owned
  registry::Selector selector;
};

struct Options {
  /// The tag that the image was asked for by; empty = none. With it the platforms' tags are found.
  std::string tag{};
  std::vector<HeldImage> held{};
  bool variants = true;  ///< false: as plain runtimes see it, the list alone
};

/// A variant that a node does not take.
struct PassedVariant {
  std::string suffix;  ///< "gpu"
  std::string reason;  ///< printable
};

/// What one node gets. Texts are printable.
struct Answer {
  std::string node;
  manifest::NodeMachine machine;
  manifest::Runtime runtime{};
  Choice::Outcome outcome{};
  std::string variant{};                ///< the variant it takes; empty = the list itself
  std::vector<PassedVariant> passed{};  ///< those that come before it, the best first
  /// The list, or the variant, that it takes it of. Null when it is no list.
  std::shared_ptr<const manifest::Index> list{};
  /// Of each entry of that list; the same object for nodes that are alike. Null when it is no list.
  std::shared_ptr<const manifest::RuntimeChoice> choice{};
  /// The image that runs, of a list within the list too; nullopt = none.
  std::optional<manifest::Descriptor> taken{};
  /// What that image requires of a node.
  std::optional<require::Requirements> requirements{};
  std::string reason{};                 ///< why none is taken; empty when one is
  std::vector<std::string> warnings{};  ///< why what is taken may not work; what else to know
  /// A tag that stands for exactly what is taken, for platforms that drop digests: the list's with
  /// the platform behind it, or the single image's own. Empty = there is none.
  std::string tag{};
  std::uint64_t pull_size = 0;  ///< bytes of config and layers, compressed, without what it has
};

/// One answer for each node, in their order; the same as ResolvedImage::choose() gives. Images are
/// read once each, at the same time, and only those that some node may take or downloads; one that
/// is missing is an answer. Errors: invalid_input for what is neither list nor image, and for too
/// many nodes and entries; those of the stores.
Result<std::vector<Answer>> resolve(registry::ImageStore& store, const manifest::Document& document,
                                    const std::vector<node::Node>& nodes, const Options& options,
                                    WorkerPool& pool);

/// Each node with each of these runtimes instead of its own; as they are when there are none.
std::vector<node::Node> with_runtimes(const std::vector<node::Node>& nodes,
                                      const std::vector<manifest::Runtime>& runtimes);

}  // namespace fnimage::resolve
