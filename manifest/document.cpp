// Deciding what received bytes are, without trusting any one of their three claims alone: the
// Content-Type, the mediaType field and the fields present (C5, V11, A10: one document must not be
// read as two things).
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/document.hpp>

namespace fnimage::manifest {

namespace {

/// The type without parameters, empty for those that say nothing about the content.
std::string essence(std::string_view content_type) {
  std::string type = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  if (type == "application/json" || type == "application/octet-stream" || type == "text/plain") {
    type.clear();
  }
  return type;
}

tl::unexpected<Error> refuse_document(std::string_view what, std::string_view why,
                                      std::string hint = {}) {
  return fail(ErrorCode::invalid_input, fmt::format("{}: {}", what, why), std::move(hint));
}

Result<void> refuse_ambiguity(const JsonObject& object, std::string_view what,
                              std::string_view type) {
  const bool list_fields = object.find("manifests") != nullptr;
  const bool image_fields = object.find("layers") != nullptr || object.find("config") != nullptr;
  constexpr const char* hint = "the document was made to be read differently by different programs";
  if (list_fields && image_fields) {
    return refuse_document(what, "is both a list and an image manifest", hint);
  }
  if (is_index_type(type) && image_fields) {
    return refuse_document(what, "calls itself a list but has the fields of an image manifest",
                           hint);
  }
  if (is_manifest_type(type) && list_fields) {
    return refuse_document(what, "calls itself an image manifest but has the fields of a list",
                           hint);
  }
  return {};
}

/// Documents of image-spec 1.0 need not name their type: the fields do.
Result<std::string> type_by_fields(const JsonObject& object, std::string_view what) {
  if (object.has("manifests")) {
    return std::string(media_type::oci_index);
  }
  const nlohmann::json* config = object.find("config");
  if (config == nullptr || !object.has("layers")) {
    return refuse_document(what, "is neither a list nor an image manifest");
  }
  FNIMAGE_TRY(const JsonObject members, JsonObject::of(*config, object.path_of("config")));
  FNIMAGE_TRY(const std::string type, members.string_or("mediaType", {}));
  return std::string(type == media_type::docker_config ? media_type::docker_manifest
                                                       : media_type::oci_manifest);
}

Result<void> refuse_schema1(const JsonObject& object, std::string_view what,
                            std::string_view type) {
  const nlohmann::json* version = object.find("schemaVersion");
  const bool old_version = version != nullptr && version->is_number() && *version == 1;
  if (old_version || type.starts_with("application/vnd.docker.distribution.manifest.v1+")) {
    return fail(
        ErrorCode::unsupported,
        fmt::format("{}: is a Docker schema 1 manifest, which has no digests to verify", what),
        "publish the image again with a current tool");
  }
  return {};
}

}  // namespace

Document::Document(std::string bytes, std::string media_type)
    : bytes_(std::move(bytes)), media_type_(std::move(media_type)), digest_(Digest::of(bytes_)) {}

Result<Document> Document::from_bytes(std::string bytes, std::string_view content_type,
                                      std::string_view what) {
  FNIMAGE_TRY(const nlohmann::json value, parse_json(bytes, what, {max_document_bytes}));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, std::string(what)));
  std::string type = essence(content_type);
  FNIMAGE_CHECK(refuse_schema1(object, what, type));
  FNIMAGE_TRY(std::string own_type, object.string_or("mediaType", {}));
  if (!type.empty() && !own_type.empty() && !equals_ignoring_case(type, own_type)) {
    return refuse_document(what, fmt::format("came as {} but calls itself {}", printable(type, 120),
                                             printable(own_type, 120)));
  }
  if (!own_type.empty()) {
    type = std::move(own_type);
  }
  FNIMAGE_CHECK(refuse_ambiguity(object, what, type));
  if (type.empty()) {
    FNIMAGE_TRY(type, type_by_fields(object, what));
  }
  return Document(std::move(bytes), std::move(type));
}

Document Document::of(const ImageManifest& manifest) {
  return {emit(manifest), std::string(convert_type(media_type::oci_manifest, manifest.format))};
}

Document Document::of(const Index& index) {
  return {emit(index), std::string(convert_type(media_type::oci_index, index.format))};
}

Descriptor Document::descriptor() const {
  return {media_type_, digest_, bytes_.size()};
}

Result<Index> Document::index() const {
  if (!is_index()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is not a list but {}", digest_.str(), printable(media_type_, 120)));
  }
  FNIMAGE_TRY(Index index, Index::parse(bytes_));
  // The bytes need not name their type; then the Content-Type decided.
  index.format = media_type_ == media_type::docker_list ? Format::docker : Format::oci;
  return index;
}

Result<ImageManifest> Document::image() const {
  if (!is_image()) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is not an image manifest but {}",
                                                      digest_.str(), printable(media_type_, 120)));
  }
  FNIMAGE_TRY(ImageManifest manifest, ImageManifest::parse(bytes_));
  manifest.format = media_type_ == media_type::docker_manifest ? Format::docker : Format::oci;
  return manifest;
}

}  // namespace fnimage::manifest
