// An image or list described for people and programs: what `inspect` shows. Thread-safety: a value
// type.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/sbom/attach.hpp>

namespace fnimage::build {

struct DescribedImage {
  manifest::Descriptor descriptor;
  std::optional<manifest::Platform> platform{};
  std::optional<manifest::ImageManifest>
      manifest{};  ///< absent when the child is missing or no image
  std::optional<manifest::ImageConfig> config{};
  std::string problem{};  ///< why it could not be read; empty = fine
  /// The list within the list that names it; nullopt = the list itself does.
  std::optional<manifest::Digest> inner_list{};
  std::vector<sbom::Companion> companions{};  ///< what refers to it, if that was asked for

  /// A statement about an image ("unknown/unknown"), which no node runs.
  [[nodiscard]] bool is_attestation() const {
    return descriptor.platform && descriptor.platform->os == "unknown" &&
           descriptor.platform->architecture == "unknown";
  }
};

struct Description {
  manifest::Document root;
  bool is_list = false;
  manifest::Annotations annotations{};
  std::vector<DescribedImage> images{};
  std::vector<sbom::Companion> companions{};  ///< of the list itself, if that was asked for
  std::uint64_t total_size = 0;               ///< bytes of all distinct blobs
  std::uint64_t shared_size = 0;  ///< bytes of blobs that more than one image uses, counted once
};

struct DescribeOptions {
  /// What refers to the list and to each image: a request or two for each on a registry, and two
  /// for each bill of materials.
  bool companions = false;
};

/// Reads a list or image, its children and their configs. A child that cannot be read is described
/// by its problem, not an error; the images of lists within the list stand in their place.
Result<Description> describe(registry::ImageStore& store, const registry::Selector& selector,
                             const DescribeOptions& options = {});

}  // namespace fnimage::build
