// What one round of a list's publisher has read, and what a record makes of it. Thread-safety:
// value types and pure functions.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fnimage/manifest/document.hpp>

#include "list_record.hpp"

namespace fnimage::registry {

struct StandingRecord {
  manifest::Digest digest;
  ListRecord record;
};

/// What one round has read.
struct Standing {
  std::optional<manifest::Document> list{};
  manifest::Index index{};
  std::map<std::string, StandingRecord> records{};  ///< by platform key

  [[nodiscard]] std::optional<manifest::Digest> digest() const {
    return list ? std::optional(list->digest()) : std::nullopt;
  }
};

/// The digest of the platform's entry; nullopt when there is none.
std::optional<manifest::Digest> entry_digest(const manifest::Index& index, const std::string& key);

/// What stands in a list for a record to change, as ListRecord::replaces names it: the platform's
/// digest or "none"; for annotations alone, a digest of their values.
std::string value_of(const manifest::Index& index, const std::string& key,
                     const ListRecord& record);

/// What a run found when it began.
struct Beginning {
  std::int64_t time = 0;  ///< seconds since 1970, by the store's clock
  std::chrono::seconds leftover_after{};
  /// Records of runs that had ended: they have finished, or are leftovers.
  std::set<manifest::Digest> ended{};

  /// Older than leftover_after, or as far in the future.
  [[nodiscard]] bool is_leftover(const ListRecord& record) const;
};

/// The keys of the records that a run follows, in the order in which they were written: its own and
/// those of runs that had not ended when it began; also those of ended runs that one of these may
/// have undone, since it began before they had finished. @param own its records as it wrote them.
std::vector<std::string> followed(const Standing& standing,
                                  const std::map<std::string, ListRecord>& own,
                                  const Beginning& beginning);

struct Applied {
  bool entries = false;
  bool annotations = false;
};

/// Makes the list what a record wants; says what that changed.
Applied apply_record(const std::string& key, const ListRecord& record, manifest::Index& index);

/// Error: invalid_input when a change would break a rule of publishing that the list has kept, or
/// mix Docker and OCI images (rules 1-3 and 5). @param what the list's name.
Result<void> check_change(const manifest::Index& before, const manifest::Index& after,
                          const std::string& what);

inline bool is_docker_image(const manifest::Descriptor& entry) {
  return entry.media_type == manifest::media_type::docker_manifest;
}

}  // namespace fnimage::registry
