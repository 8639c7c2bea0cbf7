// Where pods of a list may run: the nodes whose runtime takes an image of it and that have what
// this image needs, in the words of the Kubernetes scheduler (core/v1 NodeSelectorTerm, Toleration,
// ResourceRequirements). Runtimes and versions of ARM are no labels: an architecture counts when
// every runtime of the cluster takes an image on its nodes. Thread-safety: value types and pure
// functions.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/runtime_match.hpp>
#include <fnimage/node/node.hpp>
#include <fnimage/require/requirements.hpp>
#include <fnimage/require/selection.hpp>
#include <fnimage/resolve/image.hpp>

namespace fnimage::place {

/// What is known of the image of one entry. Its config's platform is looked at where the entry says
/// none, and of single images.
using ImageFacts = resolve::EntryFacts;

/// The container runtimes of a cluster.
struct Runtimes {
  std::vector<manifest::Runtime> all{};
  /// Of the nodes of a platform ("linux/ppc64le"), where it is known: instead of `all`.
  std::map<std::string, std::vector<manifest::Runtime>> of{};
};

/// What Kubernetes runs on: containerd of all versions that differ, and CRI-O.
Runtimes usual_runtimes();
/// Those of these nodes, platform by platform; `all` has each of them.
Runtimes runtimes_of(const std::vector<node::Node>& nodes);

struct Options {
  Runtimes runtimes = usual_runtimes();
  /// Nodes of these only, by os and architecture; empty = all.
  std::vector<manifest::Platform> platforms{};
};

/// An image that some nodes of a platform take instead of the first.
struct OtherImage {
  manifest::Descriptor image;
  manifest::Platform platform;  ///< in normal form
};

/// Nodes that may run the function, by what their labels say.
struct PlacedPlatform {
  std::string os;            ///< kubernetes.io/os
  std::string architecture;  ///< kubernetes.io/arch
  /// What its nodes take: into the list's manifests. More than one only when these need the same.
  std::vector<std::size_t> entries{};
  manifest::Descriptor image;            ///< the first of them
  manifest::Platform image_platform;     ///< in normal form; 386 on nodes of amd64, for example
  require::Requirements requirements{};  ///< the image's
  std::vector<OtherImage> others{};      ///< of the other entries, in their order

  [[nodiscard]] std::string str() const { return os + "/" + architecture; }
};

/// One pod for all platforms. A node may run it iff one of the terms matches its labels, it has the
/// resources, and the tolerations cover its taints.
struct Placement {
  /// At least one, none of them empty: kubernetes.io/os, kubernetes.io/arch, then what the images
  /// need. Platforms that need the same share a term.
  std::vector<require::Term> terms;
  std::map<std::string, std::string> resources{};  ///< see require::resources_of()
  std::vector<require::Toleration> tolerations{};
  std::vector<PlacedPlatform> platforms;  ///< at least one, by os and architecture
  std::vector<std::string> notes{};       ///< what was left out, and why; printable
};

/// @param facts one for each entry of the list, in its order. Errors: platform_mismatch when no
/// node can run it; unsupported for what one pod cannot be (platforms that need different devices
/// or taints, runtimes that take images with different needs) and for a list within the list;
/// invalid_argument for a platform that is not placed.
Result<Placement> place(const manifest::Index& list, const std::vector<ImageFacts>& facts,
                        const Options& options);

/// A single image: runtimes take it on every node, but it runs only where its config says.
Result<Placement> place(const manifest::Descriptor& image, const ImageFacts& facts,
                        const Options& options);

/// The labels by which Kubernetes tells nodes apart.
inline constexpr std::string_view os_label = "kubernetes.io/os";
inline constexpr std::string_view architecture_label = "kubernetes.io/arch";

}  // namespace fnimage::place
