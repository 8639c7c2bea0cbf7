// See list_record.hpp.
#include "list_record.hpp"

#include <charconv>
#include <utility>

#include <fnimage/base/text.hpp>

namespace fnimage::registry {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Platform;

constexpr std::string_view record_type = "application/vnd.fnimage.list-record.v1";
constexpr const char* time_key = "io.fnimage.record.time";
constexpr const char* replaces_key = "io.fnimage.record.replaces";
constexpr const char* run_key = "io.fnimage.record.run";
constexpr const char* after_key = "io.fnimage.record.after";
constexpr const char* finished_key = "io.fnimage.record.finished";
/// Before the name of each annotation that is to go: names may hold anything.
constexpr std::string_view removed_prefix = "io.fnimage.record.removed/";
constexpr const char* attested_key = "vnd.docker.reference.digest";

/// Takes a value out of the annotations; empty when it is not there.
std::string take(manifest::Annotations& annotations, const char* key) {
  auto node = annotations.extract(key);
  return node.empty() ? std::string() : std::move(node.mapped());
}

/// Names that were joined by spaces.
std::vector<std::string> take_names(manifest::Annotations& annotations, const char* key,
                                    std::size_t most) {
  std::vector<std::string> names;
  const std::string text = take(annotations, key);
  for (const std::string_view name : split(text, ' ')) {
    if (!name.empty() && names.size() < most) {
      names.emplace_back(name);
    }
  }
  return names;
}

/// The names behind removed_prefix.
std::set<std::string> take_removed(manifest::Annotations& annotations) {
  std::set<std::string> names;
  std::erase_if(annotations, [&](const auto& annotation) {
    const std::string& name = annotation.first;
    const bool removed = name.starts_with(removed_prefix);
    if (removed) {
      names.insert(name.substr(removed_prefix.size()));
    }
    return removed;
  });
  return names;
}

}  // namespace

std::string platform_key(const Platform& platform) {
  if (platform.os == "unknown" && platform.architecture == "unknown") {
    return {};
  }
  std::string key = manifest::normalize(platform).tag_suffix();
  if (!platform.os_version.empty()) {
    key += "_" + platform.os_version;
  }
  // Lists of others may hold any text.
  for (char& letter : key) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '.' || letter == '_';
    letter = plain ? letter : '-';
  }
  return key;
}

std::string platform_key(const Descriptor& entry) {
  return entry.platform ? platform_key(*entry.platform) : std::string();
}

std::string record_prefix(const std::string& tag) {
  return tag + ".fnimage.";
}

bool attests(const Descriptor& attestation, const Digest& image) {
  const auto found = attestation.annotations.find(attested_key);
  return found != attestation.annotations.end() && found->second == image.str();
}

manifest::Document to_document(const ListRecord& record) {
  manifest::Index index{.manifests = record.entries,
                        .annotations = record.annotations,
                        .artifact_type = std::string(record_type)};
  index.annotations[time_key] = std::to_string(record.time);
  index.annotations[replaces_key] = join(record.replaces, " ");
  index.annotations[run_key] = record.run;
  if (!record.after.empty()) {
    index.annotations[after_key] = join(record.after, " ");
  }
  for (const std::string& name : record.removed) {
    index.annotations[std::string(removed_prefix) + name];
  }
  if (record.finished) {
    index.annotations[finished_key] = "true";
  }
  return manifest::Document::of(index);
}

std::optional<ListRecord> parse_record(const manifest::Document& document) {
  auto index = document.is_index() ? document.index() : Result<manifest::Index>();
  if (!index || index->artifact_type != record_type) {
    return std::nullopt;
  }
  ListRecord record;
  const std::string time = take(index->annotations, time_key);
  std::from_chars(time.data(), time.data() + time.size(), record.time);
  record.replaces = take_names(index->annotations, replaces_key, max_replaced);
  record.after = take_names(index->annotations, after_key, max_after);
  record.run = take(index->annotations, run_key);
  record.finished = take(index->annotations, finished_key) == "true";
  record.removed = take_removed(index->annotations);
  record.entries = std::move(index->manifests);
  record.annotations = std::move(index->annotations);
  return record;
}

}  // namespace fnimage::registry
