// The list: OCI image index (image-spec image-index.md, V6) or Docker manifest list. Thread-safety:
// a value type.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::manifest {

struct Index {
  Format format = Format::oci;
  std::vector<Descriptor> manifests;
  Annotations annotations{};  ///< OCI only
  std::string artifact_type{};
  std::optional<Descriptor> subject{};

  friend bool operator==(const Index&, const Index&) = default;

  /// Error: invalid_input with the JSON path; a document that also has "layers" or "config" is
  /// refused (V11). At most 10,000 entries.
  static Result<Index> parse(std::string_view bytes);

  /// Adds an entry, or replaces the one of the same platform. Entries stay sorted: by os,
  /// architecture, variant, the baseline (no variant) before its variants, entries without platform
  /// last, so that equal sets give equal bytes.
  void put(Descriptor entry);
};

/// The JSON bytes: schemaVersion, mediaType, manifests, … in fixed order, compact. Equal values
/// give equal bytes.
std::string emit(const Index& index);

}  // namespace fnimage::manifest
