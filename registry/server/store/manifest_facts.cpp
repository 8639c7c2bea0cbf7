#include "store/manifest_facts.hpp"

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::server {

using manifest::Descriptor;
using manifest::Digest;

namespace {

constexpr std::size_t max_manifest_values =
    1'000'000;  ///< of a document: 4 MiB of text can have more

/// A string that is a member of a member; empty = there is none.
std::string text_in(const JsonObject& object, std::string_view key, std::string_view inner) {
  const nlohmann::json* member = object.find(key);
  if (member == nullptr) {
    return {};
  }
  const auto members = JsonObject::of(*member, std::string(key));
  return members ? members->string_or(inner, {}).value_or(std::string()) : std::string();
}

std::vector<Descriptor> children_of(const JsonObject& list) {
  std::vector<Descriptor> children;
  const nlohmann::json* array = list.find("manifests");
  if (array == nullptr || !array->is_array()) {
    return children;
  }
  for (const nlohmann::json& element : *array) {
    if (auto child = manifest::parse_descriptor(element, {})) {
      children.push_back(std::move(*child));
    }
  }
  return children;
}

manifest::Annotations annotations_of(const JsonObject& object) {
  manifest::Annotations annotations;
  const nlohmann::json* map = object.find("annotations");
  if (map == nullptr || !map->is_object()) {
    return annotations;
  }
  for (const auto& [name, value] : map->items()) {
    if (value.is_string()) {
      annotations.emplace(name, value.get_ref<const std::string&>());
    }
  }
  return annotations;
}

}  // namespace

ManifestFacts read_facts(const std::string& bytes, std::string_view media_type) {
  ManifestFacts facts;
  const auto json =
      parse_json(bytes, "manifest", {.max_bytes = bytes.size(), .max_values = max_manifest_values});
  if (!json) {
    return facts;
  }
  const auto object = JsonObject::of(*json, "manifest");
  if (!object) {
    return facts;
  }
  if (auto subject = Digest::parse(text_in(*object, "subject", "digest"))) {
    facts.subject = std::move(*subject);
    facts.annotations = annotations_of(*object);
  }
  facts.artifact_type = object->string_or("artifactType", {}).value_or(std::string());
  if (facts.artifact_type.empty() && manifest::is_manifest_type(media_type)) {
    facts.artifact_type = text_in(*object, "config", "mediaType");
  }
  if (manifest::is_index_type(media_type)) {
    facts.children = children_of(*object);
  }
  return facts;
}

}  // namespace fnimage::server
