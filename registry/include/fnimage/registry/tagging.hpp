// Tags of one store: giving a manifest further ones without moving any content, and taking one away
// without the others. Thread-safety: functions that are pure but for the store.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

struct MovedTag {
  std::string tag;
  std::optional<manifest::Digest> previous{};  ///< what the tag stood for before
};

struct Retagged {
  manifest::Descriptor root;
  std::vector<MovedTag> tags{};
};

/// Puts the manifest that `selector` stands for, byte for byte, under these tags too, in this
/// order.
Result<Retagged> retag(ImageStore& store, const Selector& selector,
                       const std::vector<std::string>& tags);

/// Removes one tag and leaves its manifest and the manifest's other tags alone. A registry that
/// deletes manifests but no tags (docker-registry 2) gets a placeholder of its own put under the
/// tag, which is then deleted; whether it deletes at all is tried first on one without a tag. On
/// failure the tag stands where it stood.
/// @return the digest that the tag stood for. Errors: not_found, unsupported.
Result<manifest::Digest> remove_single_tag(ImageStore& store, const std::string& tag);

/// The tags that stand for a manifest, sorted. One request per tag on a registry.
Result<std::vector<std::string>> tags_of(ImageStore& store, const manifest::Digest& digest);

}  // namespace fnimage::registry
