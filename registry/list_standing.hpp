// What one round of a list's publisher has read, and what a record makes of it. Thread-safety:
// value types and pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>

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

/// Makes the list what a record wants; true when that changed anything.
bool apply_record(const std::string& key, const ListRecord& record, manifest::Index& index);

/// Error: invalid_input when Docker and OCI images stand in one list (publishing rule 5). @param
/// what the list's name.
Result<void> refuse_mixture(const manifest::Index& index, const std::string& what);

inline bool is_docker_image(const manifest::Descriptor& entry) {
  return entry.media_type == manifest::media_type::docker_manifest;
}

}  // namespace fnimage::registry
