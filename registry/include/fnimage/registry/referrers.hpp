// Referrers (signatures, SBOMs, attestations: manifests with a `subject`) that go along with an
// image. Where a destination has no referrers API they are listed under the fallback tag (C25,
// C26). Thread-safety: a value type, and functions that are pure but for the stores.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

/// Subject -> what refers to it, as far as it was asked for.
using ReferrerMap = std::map<manifest::Digest, std::vector<manifest::Descriptor>>;

/// What refers to these manifests, what refers to that, and so on. Circles end; deeper than 8
/// levels or more than 10,000 in all is invalid_input (A7). Descriptors have their artifact type.
Result<ReferrerMap> find_referrers(ImageStore& from, const std::vector<manifest::Digest>& subjects);

/// Copies them, with all their content, and sees to it that `to` lists them. Their subjects should
/// be there already.
Result<void> copy_referrers(ImageStore& from, const ReferrerMap& referrers, ImageStore& to,
                            Diagnostics& diagnostics);

/// The list of referrers for the fallback tag, and that tag.
struct FallbackList {
  std::string tag;
  manifest::Document document;
};
FallbackList fallback_list(const manifest::Digest& subject,
                           const std::vector<manifest::Descriptor>& referrers);

}  // namespace fnimage::registry
