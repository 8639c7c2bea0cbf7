// The list: OCI image index (image-spec image-index.md, V6) or Docker manifest list. Thread-safety:
// a value type.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::manifest {

/// How long a list may be. As they stand: for documents from outside.
struct ListLimits {
  std::size_t max_bytes = std::size_t{4} * 1024 * 1024;
  std::size_t max_entries = 10'000;
};

struct Index {
  Format format = Format::oci;
  std::vector<Descriptor> manifests;
  Annotations annotations{};  ///< OCI only
  std::string artifact_type{};
  std::optional<Descriptor> subject{};

  friend bool operator==(const Index&, const Index&) = default;

  /// Error: invalid_input with the JSON path; a document that also has "layers" or "config" is
  /// refused (V11), as is one beyond the limits.
  static Result<Index> parse(std::string_view bytes, const ListLimits& limits = {});

  /// Adds an entry, or replaces the one of the same platform. Entries stay sorted: by os,
  /// architecture, variant, the baseline (no variant) before its variants, entries without platform
  /// last, so that equal sets give equal bytes.
  void put(Descriptor entry);
};

/// The JSON bytes: schemaVersion, mediaType, manifests, … in fixed order, compact. Equal values
/// give equal bytes.
std::string emit(const Index& index);

}  // namespace fnimage::manifest
