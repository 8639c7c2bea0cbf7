// Choosing platforms of a list, and changing its form, before it is copied. Thread-safety: pure
// functions but for the store.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/location.hpp>

namespace fnimage::registry {

/// How an image or list is to be, instead of as it is.
struct ImageShape {
  /// Only these, empty = all. One is that platform's image, byte for byte; several, or with
  /// `keep_list`, are a list of their entries in their order, with the attestations of each.
  std::vector<manifest::Platform> platforms{};
  bool keep_list = false;
  /// Of the whole tree: images of the other family are converted, which changes their digests;
  /// attestations of converted images are left out, and lists within the list dissolved.
  std::optional<manifest::Format> format{};
  manifest::Annotations annotations{};        ///< of the list, set or replaced
  manifest::Annotations entry_annotations{};  ///< of each entry of the list

  [[nodiscard]] bool says_anything() const;
};

struct ShapedImage {
  manifest::Digest root;
  std::map<manifest::Digest, manifest::Document> made{};  ///< manifests that the store lacks
};

/// The image in that shape. Lists within lists are looked into for platforms. Errors:
/// platform_mismatch that names what there is, also for an image that is for another platform;
/// invalid_argument for annotations of a single image; unsupported for those of a Docker list;
/// invalid_input for what cannot be converted or is nested too deep; those of the store.
Result<ShapedImage> shape_in(ImageStore& store, const Selector& selector, const ImageShape& shape,
                             Diagnostics& diagnostics);

/// A store that shows these manifests too, for reading. `store` is not owned.
std::unique_ptr<ImageStore> with_manifests(ImageStore& store,
                                           std::map<manifest::Digest, manifest::Document> made);

/// shape_in() of an opened image: the same store when nothing differs, else one that shows the
/// manifests that are made, without writing them.
Result<OpenedImage> shape_image(OpenedImage image, const ImageShape& shape,
                                Diagnostics& diagnostics);

/// The list's entry for a platform (equal after normalisation), also in lists within it, or the
/// image itself when it is no list. Errors: platform_mismatch, those of the store.
Result<manifest::Descriptor> find_platform(ImageStore& store, const Selector& selector,
                                           const manifest::Platform& platform);

}  // namespace fnimage::registry
