// See list_standing.hpp.
#include "list_standing.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Format;
using manifest::Index;

/// A descriptor as a list of that format keeps it.
Descriptor as_kept(Descriptor entry, Format format) {
  if (format == Format::docker) {
    entry.annotations.clear();
    entry.artifact_type.clear();
    entry.data.reset();
  }
  return entry;
}

auto find_entry(Index& index, const std::string& key) {
  return std::find_if(index.manifests.begin(), index.manifests.end(),
                      [&](const Descriptor& entry) { return platform_key(entry) == key; });
}

/// Takes the platform's entry and its attestations out.
bool erase_entry(Index& index, const std::string& key) {
  const auto found = find_entry(index, key);
  if (found == index.manifests.end()) {
    return false;
  }
  const Digest digest = found->digest;
  index.manifests.erase(found);
  std::erase_if(index.manifests, [&](const Descriptor& entry) {
    return platform_key(entry).empty() && attests(entry, digest);
  });
  return true;
}

}  // namespace

std::optional<Digest> entry_digest(const Index& index, const std::string& key) {
  for (const Descriptor& entry : index.manifests) {
    if (platform_key(entry) == key) {
      return entry.digest;
    }
  }
  return std::nullopt;
}

bool apply_record(const std::string& key, const ListRecord& record, Index& index) {
  bool changed = false;
  if (record.entries.empty()) {
    changed = erase_entry(index, key);
  } else if (const auto found = find_entry(index, key);
             found == index.manifests.end() ||
             as_kept(*found, index.format) != as_kept(record.entries.front(), index.format)) {
    erase_entry(index, key);
    for (const Descriptor& entry : record.entries) {
      index.put(entry);
    }
    changed = true;
  }
  if (index.format == Format::oci) {
    for (const auto& [name, value] : record.annotations) {
      changed = std::exchange(index.annotations[name], value) != value || changed;
    }
  }
  return changed;
}

Result<void> refuse_mixture(const Index& index, const std::string& what) {
  for (const Descriptor& entry : index.manifests) {
    if (manifest::is_manifest_type(entry.media_type) &&
        is_docker_image(entry) != (index.format == Format::docker)) {
      const bool docker = is_docker_image(entry);
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} would mix {} image ({}) into {} list", what,
                              docker ? "a Docker" : "an OCI",
                              entry.platform ? entry.platform->str() : entry.digest.str(),
                              docker ? "an OCI" : "a Docker"),
                  "convert it: fnimage manifest create --amend --format oci|docker …");
    }
  }
  return {};
}

}  // namespace fnimage::registry
