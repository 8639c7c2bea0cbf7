// Parsing and editing of image configs (V7).
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>

#include "json_fields.hpp"

namespace fnimage::manifest {

namespace {

using nlohmann::json;

/// Docker writes sets as objects with empty values: {"8080/tcp": {}}.
Result<std::vector<std::string>> read_set(const JsonObject& object, std::string_view key) {
  std::vector<std::string> names;
  const json* value = object.find(key);
  if (value == nullptr) {
    return names;
  }
  FNIMAGE_CHECK(JsonObject::of(*value, object.path_of(key)));
  for (const auto& [name, ignored] : value->items()) {
    names.push_back(name);
  }
  return names;
}

Result<void> read_execution(const JsonObject& root, ImageConfig& config) {
  const json* value = root.find("config");
  if (value == nullptr) {
    return {};
  }
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(*value, root.path_of("config")));
  FNIMAGE_TRY(config.user, object.string_or("User", {}));
  FNIMAGE_TRY(config.exposed_ports, read_set(object, "ExposedPorts"));
  FNIMAGE_TRY(config.env, read_strings(object, "Env"));
  FNIMAGE_TRY(config.entrypoint, read_strings(object, "Entrypoint"));
  FNIMAGE_TRY(config.cmd, read_strings(object, "Cmd"));
  FNIMAGE_TRY(config.volumes, read_set(object, "Volumes"));
  FNIMAGE_TRY(config.working_dir, object.string_or("WorkingDir", {}));
  FNIMAGE_TRY(config.labels, read_string_map(object, "Labels"));
  FNIMAGE_TRY(config.stop_signal, object.string_or("StopSignal", {}));
  return {};
}

Result<void> read_rootfs(const JsonObject& root, ImageConfig& config) {
  const json* value = root.find("rootfs");
  if (value == nullptr) {
    return fail(ErrorCode::invalid_input, root.path_of("rootfs") + ": missing");
  }
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(*value, root.path_of("rootfs")));
  FNIMAGE_TRY(const std::string type, object.string("type"));
  if (type != "layers") {
    return fail(ErrorCode::invalid_input, object.path_of("type") + ": not \"layers\"");
  }
  FNIMAGE_TRY(const json* const array, read_array(object, "diff_ids"));
  if (array == nullptr) {
    return {};  // null: an image without layers
  }
  for (const json& element : *array) {
    FNIMAGE_TRY(Digest digest, read_digest(element, fmt::format("{}/{}", object.path_of("diff_ids"),
                                                                config.diff_ids.size())));
    config.diff_ids.push_back(std::move(digest));
  }
  return {};
}

Result<bool> read_flag(const JsonObject& object, std::string_view key) {
  const json* value = object.find(key);
  if (value == nullptr) {
    return false;
  }
  if (!value->is_boolean()) {
    return fail(ErrorCode::invalid_input, object.path_of(key) + ": not true or false");
  }
  return value->get<bool>();
}

Result<void> read_history(const JsonObject& root, ImageConfig& config) {
  FNIMAGE_TRY(const json* const array, read_array(root, "history"));
  if (array == nullptr) {
    return {};
  }
  const std::string path = root.path_of("history");
  for (const json& element : *array) {
    FNIMAGE_TRY(const JsonObject object,
                JsonObject::of(element, fmt::format("{}/{}", path, config.history.size())));
    HistoryEntry entry;
    FNIMAGE_TRY(entry.created, object.string_or("created", {}));
    FNIMAGE_TRY(entry.created_by, object.string_or("created_by", {}));
    FNIMAGE_TRY(entry.comment, object.string_or("comment", {}));
    FNIMAGE_TRY(entry.author, object.string_or("author", {}));
    FNIMAGE_TRY(entry.empty_layer, read_flag(object, "empty_layer"));
    config.history.push_back(std::move(entry));
  }
  const auto layers = static_cast<std::size_t>(
      std::count_if(config.history.begin(), config.history.end(),
                    [](const HistoryEntry& entry) { return !entry.empty_layer; }));
  if (!config.history.empty() && layers != config.diff_ids.size()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: tells of {} layers, but there are {} diff_ids", path, layers,
                            config.diff_ids.size()));
  }
  return {};
}

bool sets(std::string_view entry, std::string_view name) noexcept {
  return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
}

}  // namespace

Result<ImageConfig> ImageConfig::parse(std::string_view bytes) {
  FNIMAGE_TRY(const json value, parse_json(bytes, "image config", {max_document_bytes}));
  FNIMAGE_TRY(const JsonObject root, JsonObject::of(value, "image config"));
  ImageConfig config;
  FNIMAGE_TRY(config.platform, read_platform(root, false));
  FNIMAGE_TRY(config.created, root.string_or("created", {}));
  FNIMAGE_TRY(config.author, root.string_or("author", {}));
  FNIMAGE_CHECK(read_execution(root, config));
  FNIMAGE_CHECK(read_rootfs(root, config));
  FNIMAGE_CHECK(read_history(root, config));
  return config;
}

std::optional<std::string> ImageConfig::env_value(std::string_view name) const {
  for (const std::string& entry : env) {
    if (sets(entry, name)) {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

void ImageConfig::set_env(std::string_view name, std::string_view value) {
  std::string entry = fmt::format("{}={}", name, value);
  const auto old = std::find_if(env.begin(), env.end(),
                                [&](const std::string& other) { return sets(other, name); });
  if (old == env.end()) {
    env.push_back(std::move(entry));
  } else {
    *old = std::move(entry);
  }
}

}  // namespace fnimage::manifest
