// What a manifest of any kind says about others (image-spec manifest.md, image-index.md).
// Thread-safety: a pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/manifest/descriptor.hpp>

namespace fnimage::server {

struct ManifestFacts {
  std::optional<manifest::Digest> subject{};
  /// As referrers are listed with (distribution-spec, Listing Referrers): an image manifest's is
  /// the media type of its config when it says none.
  std::string artifact_type{};
  manifest::Annotations annotations{};
  std::vector<manifest::Descriptor> children{};  ///< of a list
};

/// Leaves out what cannot be read: nobody has to be able to read what a registry stores.
ManifestFacts read_facts(const std::string& bytes, std::string_view media_type);

}  // namespace fnimage::server
