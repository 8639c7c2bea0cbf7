// Shared readers, see the header.
#include "json_fields.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/text.hpp>

#include "platform_names.hpp"

namespace fnimage::manifest {

namespace {

using nlohmann::json;

bool is_restricted_name(std::string_view name) noexcept {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const auto allowed = [&](char c) {
    return alphanumeric(c) || std::string_view("!#$&-^_.+").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 127 && alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::string at_index(const std::string& path, std::size_t index) {
  return fmt::format("{}/{}", path, index);
}

/// One word of a platform; empty when absent and not required.
Result<std::string> read_word(const JsonObject& object, std::string_view key, bool required) {
  FNIMAGE_TRY(std::string word, required ? object.string(key) : object.string_or(key, {}));
  if ((required || !word.empty()) && !is_platform_word(word)) {
    return refuse_field(object.path_of(key),
                        fmt::format("\"{}\" cannot be part of a platform", printable(word, 80)));
  }
  return word;
}

}  // namespace

tl::unexpected<Error> refuse_field(const std::string& path, std::string_view why) {
  return fail(ErrorCode::invalid_input, fmt::format("{}: {}", path, why));
}

bool is_media_type(std::string_view text) noexcept {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && is_restricted_name(text.substr(0, slash)) &&
         is_restricted_name(text.substr(slash + 1));
}

Result<const json*> read_array(const JsonObject& object, std::string_view key,
                               std::size_t max_entries) {
  const json* value = object.find(key);
  if (value == nullptr) {
    return value;
  }
  if (!value->is_array()) {
    return refuse_field(object.path_of(key), "not an array");
  }
  if (value->size() > max_entries) {
    return refuse_field(object.path_of(key), fmt::format("more than {} entries", max_entries));
  }
  return value;
}

Result<std::vector<std::string>> read_strings(const JsonObject& object, std::string_view key) {
  FNIMAGE_TRY(const json* const array, read_array(object, key));
  std::vector<std::string> strings;
  if (array == nullptr) {
    return strings;
  }
  strings.reserve(array->size());
  for (const json& element : *array) {
    if (!element.is_string()) {
      return refuse_field(at_index(object.path_of(key), strings.size()), "not a string");
    }
    strings.push_back(element.get_ref<const std::string&>());
  }
  return strings;
}

Result<Annotations> read_string_map(const JsonObject& object, std::string_view key) {
  Annotations map;
  const json* value = object.find(key);
  if (value == nullptr) {
    return map;
  }
  FNIMAGE_TRY(const JsonObject members, JsonObject::of(*value, object.path_of(key)));
  for (const auto& [name, element] : value->items()) {
    if (!element.is_string()) {
      return refuse_field(members.path_of(name), "not a string");
    }
    map.emplace(name, element.get_ref<const std::string&>());
  }
  return map;
}

Result<Digest> read_digest(const json& value, const std::string& path) {
  if (!value.is_string()) {
    return refuse_field(path, "not a string");
  }
  Result<Digest> digest = Digest::parse(value.get_ref<const std::string&>());
  if (!digest) {
    return refuse_field(path, digest.error().message());
  }
  return digest;
}

Result<Platform> read_platform(const JsonObject& object, bool required) {
  Platform platform;
  FNIMAGE_TRY(platform.architecture, read_word(object, "architecture", required));
  FNIMAGE_TRY(platform.os, read_word(object, "os", required));
  FNIMAGE_TRY(platform.variant, read_word(object, "variant", false));
  FNIMAGE_TRY(platform.os_version, object.string_or("os.version", {}));
  FNIMAGE_TRY(platform.os_features, read_strings(object, "os.features"));
  return platform;
}

Result<Descriptor> read_descriptor(const JsonObject& object, std::string_view key) {
  const json* value = object.find(key);
  if (value == nullptr) {
    return refuse_field(object.path_of(key), "missing");
  }
  return parse_descriptor(*value, object.path_of(key));
}

Result<std::optional<Descriptor>> read_optional_descriptor(const JsonObject& object,
                                                           std::string_view key) {
  if (!object.has(key)) {
    return std::optional<Descriptor>();
  }
  FNIMAGE_TRY(Descriptor descriptor, read_descriptor(object, key));
  return std::optional<Descriptor>(std::move(descriptor));
}

Result<std::vector<Descriptor>> read_descriptors(const JsonObject& object, std::string_view key,
                                                 std::size_t max_entries) {
  FNIMAGE_TRY(const json* const array, read_array(object, key, max_entries));
  if (array == nullptr) {
    return refuse_field(object.path_of(key), "missing");
  }
  std::vector<Descriptor> descriptors;
  descriptors.reserve(array->size());
  const std::string path = object.path_of(key);
  for (const json& element : *array) {
    FNIMAGE_TRY(Descriptor descriptor,
                parse_descriptor(element, at_index(path, descriptors.size())));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

Result<std::string> read_schema(const JsonObject& object, std::string_view oci_type,
                                std::string_view docker_type) {
  FNIMAGE_TRY(const std::int64_t version, object.integer("schemaVersion"));
  if (version != 2) {
    return refuse_field(object.path_of("schemaVersion"), fmt::format("{} instead of 2", version));
  }
  FNIMAGE_TRY(std::string type, object.string_or("mediaType", {}));
  if (!type.empty() && type != oci_type && type != docker_type) {
    return refuse_field(object.path_of("mediaType"),
                        fmt::format("\"{}\" instead of \"{}\"", printable(type, 120), oci_type));
  }
  return type;
}

Result<void> refuse_members(const JsonObject& object, std::initializer_list<std::string_view> keys,
                            std::string_view kind) {
  for (const std::string_view key : keys) {
    if (object.find(key) != nullptr) {
      return refuse_field(object.path_of(key),
                          fmt::format("does not belong into {}; a document that can be "
                                      "read in two ways is refused",
                                      kind));
    }
  }
  return {};
}

}  // namespace fnimage::manifest
