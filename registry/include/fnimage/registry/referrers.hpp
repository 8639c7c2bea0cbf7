// Referrers (signatures, SBOMs, attestations: manifests with a `subject`, or with a tag made of the
// image's digest) that go along with an image. Where a destination has no referrers API they are
// listed under the fallback tag (C25, C26). Thread-safety: value types, and functions that are pure
// but for the stores.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::registry {

/// Subject -> what refers to it, as far as it was asked for.
using ReferrerMap = std::map<manifest::Digest, std::vector<manifest::Descriptor>>;

/// What refers to these manifests, what refers to that, and so on. Circles end; deeper than 8
/// levels or more than 10,000 in all is invalid_input (A7). Descriptors have their artifact type.
Result<ReferrerMap> find_referrers(ImageStore& from, const std::vector<manifest::Digest>& subjects);

/// Tag -> what stands under it.
using DigestTags = std::map<std::string, manifest::Descriptor>;

/// What cosign and others keep beside these manifests under tags made of their digests
/// ("sha256-<hex>.sig", ".att", ".sbom", any ending), and beside that, and so on. One listing of
/// the tags; where there is none, the three endings are asked for.
Result<DigestTags> find_digest_tags(ImageStore& from,
                                    const std::vector<manifest::Digest>& subjects);

/// All that goes along with an image.
struct Companions {
  ReferrerMap referrers{};
  DigestTags tags{};

  [[nodiscard]] bool empty() const noexcept { return referrers.empty() && tags.empty(); }
  /// Distinct manifests.
  [[nodiscard]] std::size_t count() const;
};

/// Both kinds.
Result<Companions> find_companions(ImageStore& from, const std::vector<manifest::Digest>& subjects);

/// Those of a root and, of a list, of its images: all that somebody may have signed or described.
Result<Companions> find_companions_of(ImageStore& from, const manifest::Document& root);

/// Stores a manifest that has a subject, and sees to it that `to` lists it there. Its content is
/// there already. Error: invalid_input when it has no subject.
Result<void> put_referrer(ImageStore& to, const manifest::Document& referrer);

/// Copies those that are not there yet, with all their content, and sees to it that `to` lists
/// them. Their subjects should be there already.
/// @param parallel as for transfer_all()
/// @return what was sent
Result<std::vector<TransferResult>> copy_companions(ImageStore& from, const Companions& companions,
                                                    ImageStore& to, std::size_t parallel,
                                                    Diagnostics& diagnostics);

/// Whether a tag is one of those that list referrers or are made of an image's digest by cosign.
bool is_companion_tag(std::string_view tag);

/// The list of referrers for the fallback tag, and that tag.
struct FallbackList {
  std::string tag;
  manifest::Document document;
};
FallbackList fallback_list(const manifest::Digest& subject,
                           const std::vector<manifest::Descriptor>& referrers);

}  // namespace fnimage::registry
