#include "store/named_content.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::server {

using manifest::Digest;
using nlohmann::json;

namespace {

constexpr std::size_t max_named_values = 1'000'000;  ///< of a document: as manifest_facts.cpp

/// Every text in a value that is a digest, but for annotations. Values are nested as deep as
/// parse_json() allows.
template <class Found>
void find_digests(const json& value, const Found& found) {
  if (value.is_string()) {
    if (auto digest = Digest::parse(value.get_ref<const std::string&>())) {
      found(std::move(*digest));
    }
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      if (key != "annotations") {
        find_digests(member, found);
      }
    }
  } else if (value.is_array()) {
    for (const json& element : value) {
      find_digests(element, found);
    }
  }
}

/// A member of an object that is a text; null = there is none.
const std::string* text_of(const json& object, const char* key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? &member->get_ref<const std::string&>()
                                                       : nullptr;
}

void add_child(const json& descriptor, NamedContent& named) {
  const std::string* type = text_of(descriptor, "mediaType");
  const std::string* digest = text_of(descriptor, "digest");
  auto parsed = digest == nullptr ? std::nullopt : std::optional(Digest::parse(*digest));
  if (type != nullptr && parsed && *parsed &&
      (manifest::is_manifest_type(*type) || manifest::is_index_type(*type))) {
    named.documents.push_back({std::move(**parsed), true});
    return;
  }
  find_digests(descriptor, [&](Digest found) {
    named.documents.push_back({std::move(found), false});
  });
}

void add_member(const std::string& key, const json& value, NamedContent& named) {
  if (key == "subject") {
    const std::string* digest = text_of(value, "digest");
    if (auto parsed = Digest::parse(digest == nullptr ? std::string() : *digest)) {
      named.subject.emplace(std::move(*parsed));
    }
  } else if (key == "config" || key == "layers" || key == "blobs") {
    find_digests(value, [&](Digest found) { named.blobs.push_back(std::move(found)); });
  } else if (key == "manifests" && value.is_array()) {
    std::ranges::for_each(value, [&](const json& child) { add_child(child, named); });
  } else if (key != "annotations") {
    find_digests(value, [&](Digest found) {
      named.documents.push_back({std::move(found), false});
    });
  }
}

}  // namespace

NamedContent read_named(const std::string& bytes) {
  NamedContent named;
  const auto document =
      parse_json(bytes, "manifest", {.max_bytes = bytes.size(), .max_values = max_named_values});
  if (document && document->is_object()) {
    for (const auto& [key, value] : document->items()) {
      add_member(key, value, named);
    }
    return named;
  }
  for_each_digest(bytes, [&](std::string_view text) {
    if (auto digest = Digest::parse(text)) {
      named.documents.push_back({std::move(*digest), false});
    }
  });
  return named;
}

void for_each_digest(std::string_view text, const std::function<void(std::string_view)>& call) {
  constexpr std::string_view hex = "0123456789abcdef";
  constexpr std::size_t prefix = 7;  // of both algorithms
  for (std::size_t at = text.find("sha"); at != std::string_view::npos;
       at = text.find("sha", at + 1)) {
    const std::string_view rest = text.substr(at);
    const std::size_t digits = rest.starts_with("sha256:")   ? 64U
                               : rest.starts_with("sha512:") ? 128U
                                                             : 0U;
    const std::string_view value = digits == 0 ? std::string_view() : rest.substr(prefix, digits);
    if (digits != 0 && value.size() == digits &&
        value.find_first_not_of(hex) == std::string_view::npos) {
      call(rest.substr(0, prefix + digits));
    }
  }
}

}  // namespace fnimage::server
