// Editing index.json: unknown fields and foreign entries survive, since they are someone else's.
#include "layout_index.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/json.hpp>

namespace fnimage::registry::detail {

namespace {

using manifest::Descriptor;

std::string_view annotation_of(const Descriptor& entry, std::string_view key) {
  const auto found = entry.annotations.find(std::string(key));
  return found == entry.annotations.end() ? std::string_view() : std::string_view(found->second);
}

/// A descriptor as JSON, by way of the one emitter there is.
Result<nlohmann::json> to_json(const Descriptor& entry) {
  manifest::Index wrapper;
  wrapper.manifests.push_back(entry);
  FNIMAGE_TRY(const nlohmann::json value, parse_json(manifest::emit(wrapper), "index.json entry"));
  return nlohmann::json(value.at("manifests").at(0));
}

}  // namespace

std::string_view tag_of(const Descriptor& entry) {
  const std::string_view name = annotation_of(entry, manifest::annotation::ref_name);
  return name.empty() ? annotation_of(entry, manifest::annotation::containerd_name) : name;
}

LayoutIndex::LayoutIndex()
    : document_{{"schemaVersion", 2},
                {"mediaType", manifest::media_type::oci_index},
                {"manifests", nlohmann::json::array()}} {}

Result<LayoutIndex> LayoutIndex::parse(std::string_view text, const std::string& what) {
  LayoutIndex index;
  FNIMAGE_TRY(index.document_, parse_json(text, what, {.max_bytes = max_layout_index_bytes}));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(index.document_, what));
  const nlohmann::json* list = object.find("manifests");
  if (list == nullptr) {  // Go writes an empty list as null
    index.document_["manifests"] = nlohmann::json::array();
    return index;
  }
  if (!list->is_array()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: not an array", object.path_of("manifests")));
  }
  index.entries_.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    FNIMAGE_TRY(Descriptor entry,
                manifest::parse_descriptor((*list)[i],
                                           fmt::format("{}/{}", object.path_of("manifests"), i)));
    index.entries_.push_back(std::move(entry));
  }
  return index;
}

const Descriptor* LayoutIndex::find(std::string_view tag) const {
  for (const std::string_view key :
       {manifest::annotation::ref_name, manifest::annotation::containerd_name}) {
    const auto found = std::ranges::find_if(
        entries_, [&](const Descriptor& entry) { return annotation_of(entry, key) == tag; });
    if (found != entries_.end()) {
      return &*found;
    }
  }
  return nullptr;
}

const Descriptor* LayoutIndex::find(const manifest::Digest& digest) const {
  const auto found = std::ranges::find(entries_, digest, &Descriptor::digest);
  return found == entries_.end() ? nullptr : &*found;
}

std::vector<std::string> LayoutIndex::tags() const {
  std::vector<std::string> names;
  for (const Descriptor& entry : entries_) {
    if (const std::string_view name = tag_of(entry); !name.empty()) {
      names.emplace_back(name);
    }
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

Result<void> LayoutIndex::put(Descriptor entry, const std::string& tag) {
  entry.annotations[std::string(manifest::annotation::ref_name)] = tag;
  FNIMAGE_TRY(nlohmann::json value, to_json(entry));
  const auto former = std::ranges::find(entries_, std::string_view(tag), tag_of);
  const auto place = std::distance(entries_.begin(), former);
  remove(tag);
  entries_.insert(entries_.begin() + place, std::move(entry));
  list().insert(list().begin() + place, std::move(value));
  return {};
}

Result<void> LayoutIndex::add(const Descriptor& entry) {
  FNIMAGE_TRY(nlohmann::json value, to_json(entry));
  entries_.push_back(entry);
  list().push_back(std::move(value));
  return {};
}

bool LayoutIndex::remove(std::string_view tag) {
  bool removed = false;
  for (std::size_t i = entries_.size(); i-- > 0;) {
    if (tag_of(entries_[i]) == tag) {
      entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      list().erase(i);
      removed = true;
    }
  }
  return removed;
}

Result<std::string> LayoutIndex::text() const {
  std::string text = to_json_text(nlohmann::ordered_json(document_));
  if (text.size() > max_layout_index_bytes) {
    return fail(ErrorCode::unsupported, "index.json would be too large to be read again",
                "use several layouts, or remove tags that are no longer needed");
  }
  return text;
}

}  // namespace fnimage::registry::detail
