// Listing a manifest with a subject under the referrers tag, which is the client's work where a
// registry has no referrers API (distribution-spec "Pushing Manifests with Subject", C25).
// Thread-safety: functions; two calls for the same subject must not run at once.
#pragma once

#include <optional>

#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

struct Referrer {
  manifest::Digest subject;
  manifest::Descriptor descriptor;  ///< with artifact type and annotations
};

/// nullopt for a manifest without subject. Error: invalid_input when it is malformed.
Result<std::optional<Referrer>> referrer_of(const manifest::Document& document);

/// Adds it to the list under the subject's referrers tag, unless it is there. Error: unsupported
/// when something that is no list has that tag; those of reading and writing manifests.
Result<void> list_referrer(ImageStore& store, const Referrer& referrer);

}  // namespace fnimage::registry
