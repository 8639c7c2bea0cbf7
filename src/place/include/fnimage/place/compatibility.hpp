// What an image needs of a node's hardware as Node Feature Discovery reads it: its image
// compatibility artifact, spec v1alpha1 (node-feature-discovery docs/usage/image-compatibility.md).
// Thread-safety: functions that are pure but for the store.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/place/place.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::place {

inline constexpr std::string_view compatibility_artifact_type =
    "application/vnd.nfd.image-compatibility.v1alpha1";
inline constexpr std::string_view compatibility_layer_type =
    "application/vnd.nfd.image-compatibility.spec.v1alpha1+yaml";

/// Of one platform's image.
struct Compatibility {
  manifest::Descriptor image;
  std::string platform;  ///< printable
  std::string yaml{};    ///< the document; empty = it needs nothing that there is a word for
  std::string json{};    ///< the same
  std::vector<std::string> notes{};  ///< needs that are no features of hardware, and stay out
};

/// One for each image that some node takes, in the placement's order. Error: unsupported for labels
/// that say where a node is and not what it is.
Result<std::vector<Compatibility>> compatibilities_of(const Placement& placement);

struct AttachedCompatibility {
  manifest::Descriptor manifest;  ///< of the referrer
  bool existed = false;           ///< it was attached already; nothing was written
};

/// Attaches the document as a referrer of the image. Doing so twice changes nothing.
/// @param created RFC 3339; of several documents the newest counts
Result<AttachedCompatibility> attach(registry::ImageStore& store,
                                     const Compatibility& compatibility,
                                     const std::string& created);

}  // namespace fnimage::place
