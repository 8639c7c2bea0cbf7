// See list_standing.hpp.
#include "list_standing.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/validate.hpp>

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

/// Takes the platform's entry out, and its attestations unless its image stays.
bool erase_entry(Index& index, const std::string& key,
                 const std::optional<Digest>& stays = std::nullopt) {
  const auto found = find_entry(index, key);
  if (found == index.manifests.end()) {
    return false;
  }
  const Digest digest = found->digest;
  index.manifests.erase(found);
  if (digest != stays) {
    std::erase_if(index.manifests, [&](const Descriptor& entry) {
      return platform_key(entry).empty() && attests(entry, digest);
    });
  }
  return true;
}

bool holds(const Index& index, const Descriptor& wanted) {
  return std::any_of(index.manifests.begin(), index.manifests.end(), [&](const Descriptor& entry) {
    return as_kept(entry, index.format) == as_kept(wanted, index.format);
  });
}

bool apply_entries(const std::string& key, const std::vector<Descriptor>& entries, Index& index) {
  if (entries.empty()) {
    return erase_entry(index, key);
  }
  if (entry_digest(index, key) == entries.front().digest &&
      std::all_of(entries.begin(), entries.end(),
                  [&](const Descriptor& entry) { return holds(index, entry); })) {
    return false;
  }
  erase_entry(index, key, entries.front().digest);
  for (const Descriptor& entry : entries) {
    std::erase_if(index.manifests, [&](const Descriptor& old) {
      return platform_key(old).empty() && platform_key(entry).empty() && old.digest == entry.digest;
    });
    index.put(entry);
  }
  return true;
}

bool apply_annotations(const ListRecord& record, Index& index) {
  bool changed = false;
  for (const auto& [name, value] : record.annotations) {
    const auto [place, fresh] = index.annotations.try_emplace(name, value);
    changed = changed || fresh || place->second != value;
    place->second = value;
  }
  for (const std::string& name : record.removed) {
    changed = index.annotations.erase(name) > 0 || changed;
  }
  return changed;
}

/// Error: invalid_input when Docker and OCI images stand in one list.
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

}  // namespace

std::optional<Digest> entry_digest(const Index& index, const std::string& key) {
  for (const Descriptor& entry : index.manifests) {
    if (platform_key(entry) == key) {
      return entry.digest;
    }
  }
  return std::nullopt;
}

std::string value_of(const Index& index, const std::string& key, const ListRecord& record) {
  if (key != list_key) {
    const auto digest = entry_digest(index, key);
    return digest ? digest->str() : "none";
  }
  std::set<std::string> names = record.removed;
  for (const auto& [name, value] : record.annotations) {
    names.insert(name);
  }
  std::string text;
  for (const std::string& name : names) {
    const auto found = index.annotations.find(name);
    text += name + (found == index.annotations.end() ? "" : "=" + found->second) + "\n";
  }
  return Digest::of(text).str();
}

bool Beginning::is_leftover(const ListRecord& record) const {
  // Whatever anybody wrote there: no difference that could overflow.
  const std::int64_t limit = leftover_after.count();
  return record.time < time - limit || record.time > time + limit;
}

std::vector<std::string> followed(const Standing& standing,
                                  const std::map<std::string, ListRecord>& own,
                                  const Beginning& beginning) {
  std::vector<const ListRecord*> suspects;  // who may have undone what had finished
  std::vector<std::string> keys;
  std::map<std::string, const StandingRecord*> ended;
  suspects.reserve(own.size() + standing.records.size());
  for (const auto& [key, record] : own) {
    suspects.push_back(&record);
  }
  for (const auto& [key, record] : standing.records) {
    if (own.contains(key) || !beginning.ended.contains(record.digest)) {
      keys.push_back(key);
      suspects.push_back(&record.record);
    } else if (record.record.finished && !beginning.is_leftover(record.record)) {
      ended.emplace(key, &record);
    }
  }
  // Who may have been undone may itself have undone others before.
  for (std::size_t i = 0; i < suspects.size() && !ended.empty(); ++i) {
    const auto& after = suspects[i]->after;
    std::erase_if(ended, [&](const auto& item) {
      const auto& [key, record] = item;
      if (std::find(after.begin(), after.end(), record->digest.str()) != after.end()) {
        return false;
      }
      suspects.push_back(&record->record);
      const auto& replaces = record->record.replaces;
      // Where something else stands, a later publication that wrote no record has replaced it.
      if (std::find(replaces.begin(), replaces.end(),
                    value_of(standing.index, key, record->record)) != replaces.end()) {
        keys.push_back(key);
      }
      return true;
    });
  }
  std::sort(keys.begin(), keys.end(), [&](const std::string& left, const std::string& right) {
    return std::pair(standing.records.at(left).record.time, left) <
           std::pair(standing.records.at(right).record.time, right);
  });
  return keys;
}

Applied apply_record(const std::string& key, const ListRecord& record, Index& index) {
  return {.entries = key != list_key && apply_entries(key, record.entries, index),
          .annotations = index.format == Format::oci && apply_annotations(record, index)};
}

Result<void> check_change(const Index& before, const Index& after, const std::string& what) {
  FNIMAGE_CHECK(refuse_mixture(after, what));
  // What others did wrong can be put right step by step.
  const std::vector<manifest::Finding> findings =
      manifest::new_findings(manifest::validate(after), manifest::validate(before));
  FNIMAGE_CHECK(manifest::require_valid(findings, what));
  // What nobody could read is not to be written.
  auto readable = manifest::Document::of(after).index();
  return readable ? Result<void>() : fail(std::move(readable).error().while_doing("check " + what));
}

}  // namespace fnimage::registry
