// Image manifest of one platform: image-spec manifest.md (V5) and Docker schema 2. Thread-safety: a
// value type.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::manifest {

struct ImageManifest {
  Format format = Format::oci;
  Descriptor config;
  std::vector<Descriptor> layers;  ///< base first
  Annotations annotations{};       ///< OCI only
  std::string artifact_type{};
  std::optional<Descriptor> subject{};

  friend bool operator==(const ImageManifest&, const ImageManifest&) = default;

  /// Error: invalid_input with the JSON path; a document that also has "manifests" is refused
  /// (V11).
  static Result<ImageManifest> parse(std::string_view bytes);
};

/// The same image in the given family of media types: its config and layers keep their bytes.
/// Docker's has no annotations, artifact type and subject, so they are left out there.
ImageManifest convert(ImageManifest manifest, Format format);

/// The JSON bytes: schemaVersion, mediaType, … in fixed order, compact. Equal values give equal
/// bytes.
std::string emit(const ImageManifest& manifest);

}  // namespace fnimage::manifest
