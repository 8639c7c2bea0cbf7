// What one publisher wants of one platform of a list, as it stands in a store under a tag of its
// own: an OCI list with the entry (and its attestations), or without any when the platform is to
// go. Thread-safety: a value type and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::registry {

struct ListRecord {
  std::vector<manifest::Descriptor>
      entries{};  ///< the image, then its attestations; empty = remove
  /// The platform's entries before, newest first, as digests or "none": of the list when the
  /// publisher began, and of the records that it found.
  std::vector<std::string> replaces{};
  manifest::Annotations annotations{};  ///< of the list
  std::int64_t time = 0;                ///< when it was written, seconds since 1970
};

/// At most this many entries of `replaces` are kept.
inline constexpr std::size_t max_replaced = 16;

/// What tells the entries of a list apart, safe in a tag: "ppc64le", "windows-amd64_10.0.17763";
/// empty for entries that name no platform.
std::string platform_key(const manifest::Descriptor& entry);
std::string platform_key(const manifest::Platform& platform);

/// Of records of a list: "<tag>.fnimage."
std::string record_prefix(const std::string& tag);

/// An entry in ListRecord::replaces.
std::string standing_name(const std::optional<manifest::Digest>& digest);

/// Whether an attestation belongs to an image.
bool attests(const manifest::Descriptor& attestation, const manifest::Digest& image);

manifest::Document to_document(const ListRecord& record);
/// nullopt when the document is something else.
std::optional<ListRecord> parse_record(const manifest::Document& document);

}  // namespace fnimage::registry
