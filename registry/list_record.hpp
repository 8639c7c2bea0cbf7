// What one run of a publisher wants of one platform of a list, as it stands in a store under a tag
// of its own: an OCI list with the entry (and its attestations), or without any when the platform
// is to go. Thread-safety: a value type and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::registry {

struct ListRecord {
  std::vector<manifest::Descriptor>
      entries{};  ///< the image, then its attestations; empty = remove
  /// What stood for the platform before, newest first, as value_of() names it: in the list when the
  /// run began, and in the records that it found.
  std::vector<std::string> replaces{};
  manifest::Annotations annotations{};  ///< of the list
  std::set<std::string> removed{};      ///< names of annotations of the list that are to go
  std::int64_t time = 0;                ///< when the run began, seconds since 1970 by the store
  std::string run{};                    ///< tells two runs apart that want the same
  /// Digests of the finished records that stood when the run began: it has read the list after
  /// them, so it cannot have undone them.
  std::vector<std::string> after{};
  /// The run has seen the list stand as this record and all others want it. Until then it may be
  /// about to put a list that it made before others put theirs.
  bool finished = false;
};

/// At most so many entries of `replaces` and `after` are kept.
inline constexpr std::size_t max_replaced = 16;
inline constexpr std::size_t max_after = 64;

/// The key of the record that changes annotations of the list alone.
inline constexpr const char* list_key = "_list";

/// What tells the entries of a list apart, safe in a tag: "ppc64le", "windows-amd64_10.0.17763";
/// empty for entries that name no platform.
std::string platform_key(const manifest::Descriptor& entry);
std::string platform_key(const manifest::Platform& platform);

/// Of records of a list: "<tag>.fnimage."
std::string record_prefix(const std::string& tag);

/// Whether an attestation belongs to an image.
bool attests(const manifest::Descriptor& attestation, const manifest::Digest& image);

manifest::Document to_document(const ListRecord& record);
/// nullopt when the document is something else.
std::optional<ListRecord> parse_record(const manifest::Document& document);

}  // namespace fnimage::registry
