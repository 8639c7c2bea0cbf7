// Parsing of descriptors with the checks of the image spec (V1-V4).
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/descriptor.hpp>

#include "json_fields.hpp"

namespace fnimage::manifest {

namespace {

Result<std::string> read_media_type(const JsonObject& object, std::string_view key) {
  FNIMAGE_TRY(std::string type, object.string(key));
  if (!is_media_type(type)) {
    return refuse_field(object.path_of(key),
                        fmt::format("\"{}\" is not a media type", printable(type, 120)));
  }
  return type;
}

Result<std::uint64_t> read_size(const JsonObject& object) {
  FNIMAGE_TRY(const std::int64_t size, object.integer("size"));
  if (size < 0) {
    return refuse_field(object.path_of("size"), "negative");
  }
  return static_cast<std::uint64_t>(size);
}

Result<std::vector<std::string>> read_urls(const JsonObject& object) {
  FNIMAGE_TRY(std::vector<std::string> urls, read_strings(object, "urls"));
  for (std::size_t i = 0; i < urls.size(); ++i) {
    const std::string lower = to_lower(urls[i].substr(0, 8));
    if (!lower.starts_with("http://") && !lower.starts_with("https://")) {
      return refuse_field(fmt::format("{}/{}", object.path_of("urls"), i),
                          "not an http or https URL");
    }
  }
  return urls;
}

/// Embedded content must be what the descriptor says, or it would be a second, unverified way in.
Result<std::optional<std::string>> read_data(const JsonObject& object, const Digest& digest,
                                             std::uint64_t size) {
  if (!object.has("data")) {
    return std::optional<std::string>();
  }
  const std::string path = object.path_of("data");
  FNIMAGE_TRY(const std::string text, object.string("data"));
  Result<std::string> data = from_base64(text);
  if (!data) {
    return refuse_field(path, data.error().message());
  }
  if (data->size() != size) {
    return refuse_field(path, fmt::format("holds {} bytes instead of {}", data->size(), size));
  }
  Hasher hasher = Hasher::for_digest(digest);
  hasher.update(as_bytes(*data));
  if (hasher.finish() != digest) {
    return refuse_field(path, "does not have the descriptor's digest");
  }
  return std::optional<std::string>(std::move(*data));
}

Result<void> read_optional_fields(const JsonObject& object, Descriptor& descriptor) {
  FNIMAGE_TRY(descriptor.annotations, read_string_map(object, "annotations"));
  FNIMAGE_TRY(descriptor.urls, read_urls(object));
  FNIMAGE_TRY(descriptor.data, read_data(object, descriptor.digest, descriptor.size));
  if (object.has("artifactType")) {
    FNIMAGE_TRY(descriptor.artifact_type, read_media_type(object, "artifactType"));
  }
  if (const nlohmann::json* platform = object.find("platform"); platform != nullptr) {
    FNIMAGE_TRY(const JsonObject members, JsonObject::of(*platform, object.path_of("platform")));
    FNIMAGE_TRY(descriptor.platform, read_platform(members));
  }
  return {};
}

}  // namespace

Result<Descriptor> parse_descriptor(const nlohmann::json& value, const std::string& path) {
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, path));
  FNIMAGE_TRY(std::string media_type, read_media_type(object, "mediaType"));
  const nlohmann::json* digest_value = object.find("digest");
  if (digest_value == nullptr) {
    return refuse_field(object.path_of("digest"), "missing");
  }
  FNIMAGE_TRY(Digest digest, read_digest(*digest_value, object.path_of("digest")));
  FNIMAGE_TRY(const std::uint64_t size, read_size(object));
  Descriptor descriptor{std::move(media_type), std::move(digest), size};
  FNIMAGE_CHECK(read_optional_fields(object, descriptor));
  return descriptor;
}

}  // namespace fnimage::manifest
