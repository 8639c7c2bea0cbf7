// Parsing of image manifests (V5, V11).
#include <utility>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_manifest.hpp>

#include "json_fields.hpp"

namespace fnimage::manifest {

Result<ImageManifest> ImageManifest::parse(std::string_view bytes) {
  FNIMAGE_TRY(const nlohmann::json value, parse_json(bytes, "manifest", {max_document_bytes}));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, "manifest"));
  FNIMAGE_CHECK(refuse_members(object, {"manifests"}, "an image manifest"));
  FNIMAGE_TRY(const std::string type,
              read_schema(object, media_type::oci_manifest, media_type::docker_manifest));
  FNIMAGE_TRY(Descriptor config, read_descriptor(object, "config"));
  ImageManifest manifest{Format::oci, std::move(config), {}};
  if (type == media_type::docker_manifest ||
      (type.empty() && manifest.config.media_type == media_type::docker_config)) {
    manifest.format = Format::docker;
  }
  FNIMAGE_TRY(manifest.layers, read_descriptors(object, "layers"));
  FNIMAGE_TRY(manifest.annotations, read_string_map(object, "annotations"));
  FNIMAGE_TRY(manifest.artifact_type, object.string_or("artifactType", {}));
  FNIMAGE_TRY(manifest.subject, read_optional_descriptor(object, "subject"));
  if (manifest.config.media_type == media_type::oci_empty && manifest.artifact_type.empty()) {
    return fail(ErrorCode::invalid_input,
                object.path_of("artifactType") + ": missing, although the config is empty");
  }
  return manifest;
}

ImageManifest convert(ImageManifest manifest, Format format) {
  manifest.format = format;
  manifest.config.media_type = convert_type(manifest.config.media_type, format);
  for (Descriptor& layer : manifest.layers) {
    layer.media_type = convert_type(layer.media_type, format);
  }
  if (format == Format::docker) {
    manifest.annotations.clear();
    manifest.artifact_type.clear();
    manifest.subject.reset();
  }
  return manifest;
}

}  // namespace fnimage::manifest
