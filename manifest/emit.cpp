// The only place where documents of our own become bytes. Key order, compactness and the rules for
// absent fields decide digests: any change here changes the digest of every image built, and the
// golden files of the tests with it.
#include <algorithm>

#include <nlohmann/json.hpp>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/index.hpp>

namespace fnimage::manifest {

namespace {

using Json = nlohmann::ordered_json;

void add_text(Json& object, const char* key, const std::string& value) {
  if (!value.empty()) {
    object[key] = value;
  }
}

template <class Container>
void add_all(Json& object, const char* key, const Container& values) {
  if (!values.empty()) {
    object[key] = values;
  }
}

void add_map(Json& object, const char* key, const std::map<std::string, std::string>& values) {
  if (values.empty()) {
    return;
  }
  Json& map = object[key] = Json::object();
  for (const auto& [name, value] : values) {
    map[name] = value;
  }
}

/// {"name": {}, …}, sorted and without repetitions.
void add_set(Json& object, const char* key, std::vector<std::string> names) {
  if (names.empty()) {
    return;
  }
  std::sort(names.begin(), names.end());
  Json& set = object[key] = Json::object();
  for (const std::string& name : names) {
    set[name] = Json::object();
  }
}

void add_platform(Json& object, const Platform& platform) {
  object["architecture"] = platform.architecture;
  object["os"] = platform.os;
  add_text(object, "os.version", platform.os_version);
  add_all(object, "os.features", platform.os_features);
  add_text(object, "variant", platform.variant);
}

/// Docker's schema knows neither annotations nor artifact types nor embedded data.
Json to_json(const Descriptor& descriptor, Format format) {
  Json object = Json::object();
  object["mediaType"] = descriptor.media_type;
  object["digest"] = descriptor.digest.str();
  object["size"] = descriptor.size;
  add_all(object, "urls", descriptor.urls);
  if (format == Format::oci) {
    add_map(object, "annotations", descriptor.annotations);
    if (descriptor.data) {
      object["data"] = to_base64(as_bytes(*descriptor.data));
    }
  }
  if (descriptor.platform) {
    add_platform(object["platform"] = Json::object(), *descriptor.platform);
  }
  if (format == Format::oci) {
    add_text(object, "artifactType", descriptor.artifact_type);
  }
  return object;
}

Json to_json(const std::vector<Descriptor>& descriptors, Format format) {
  Json array = Json::array();
  for (const Descriptor& descriptor : descriptors) {
    array.push_back(to_json(descriptor, format));
  }
  return array;
}

Json begin_document(Format format, std::string_view oci_type, std::string_view docker_type,
                    const std::string& artifact_type) {
  Json object = Json::object();
  object["schemaVersion"] = 2;
  object["mediaType"] = format == Format::oci ? oci_type : docker_type;
  if (format == Format::oci) {
    add_text(object, "artifactType", artifact_type);
  }
  return object;
}

/// What follows the entries in both kinds of document.
template <class Document>
std::string end_document(Json object, const Document& document) {
  if (document.format == Format::oci) {
    if (document.subject) {
      object["subject"] = to_json(*document.subject, Format::oci);
    }
    add_map(object, "annotations", document.annotations);
  }
  return to_json_text(object);
}

Json to_json(const HistoryEntry& entry) {
  Json object = Json::object();
  add_text(object, "created", entry.created);
  add_text(object, "created_by", entry.created_by);
  add_text(object, "author", entry.author);
  add_text(object, "comment", entry.comment);
  if (entry.empty_layer) {
    object["empty_layer"] = true;
  }
  return object;
}

Json execution(const ImageConfig& config) {
  Json object = Json::object();
  add_text(object, "User", config.user);
  add_set(object, "ExposedPorts", config.exposed_ports);
  add_all(object, "Env", config.env);
  add_all(object, "Entrypoint", config.entrypoint);
  add_all(object, "Cmd", config.cmd);
  add_set(object, "Volumes", config.volumes);
  add_text(object, "WorkingDir", config.working_dir);
  add_map(object, "Labels", config.labels);
  add_text(object, "StopSignal", config.stop_signal);
  return object;
}

}  // namespace

std::string emit(const ImageManifest& manifest) {
  Json object = begin_document(manifest.format, media_type::oci_manifest,
                               media_type::docker_manifest, manifest.artifact_type);
  object["config"] = to_json(manifest.config, manifest.format);
  object["layers"] = to_json(manifest.layers, manifest.format);
  return end_document(std::move(object), manifest);
}

std::string emit(const Index& index) {
  Json object = begin_document(index.format, media_type::oci_index, media_type::docker_list,
                               index.artifact_type);
  object["manifests"] = to_json(index.manifests, index.format);
  return end_document(std::move(object), index);
}

std::string emit(const ImageConfig& config) {
  Json object = Json::object();
  add_text(object, "created", config.created);
  add_text(object, "author", config.author);
  add_platform(object, config.platform);
  object["config"] = execution(config);
  Json diff_ids = Json::array();
  for (const Digest& digest : config.diff_ids) {
    diff_ids.push_back(digest.str());
  }
  object["rootfs"] = Json{{"type", "layers"}, {"diff_ids", std::move(diff_ids)}};
  if (!config.history.empty()) {
    Json history = Json::array();
    for (const HistoryEntry& entry : config.history) {
      history.push_back(to_json(entry));
    }
    object["history"] = std::move(history);
  }
  return to_json_text(object);
}

}  // namespace fnimage::manifest
