// Image configuration: image-spec config.md (V7). Docker's config is the same document under
// another media type. Thread-safety: a value type.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::manifest {

struct HistoryEntry {
  std::string created;  ///< RFC 3339, empty = absent
  std::string created_by;
  std::string comment;
  std::string author;
  bool empty_layer = false;
  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

struct ImageConfig {
  Platform platform;    ///< configs of artifacts and of some old tools have none: empty words
  std::string created;  ///< RFC 3339, empty = absent
  std::string author;
  std::string user;
  std::vector<std::string> env;  ///< "NAME=value"
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::string working_dir;
  std::vector<std::string> exposed_ports;  ///< "8080/tcp"
  std::vector<std::string> volumes;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  std::vector<Digest> diff_ids;  ///< of the uncompressed layers, base first
  std::vector<HistoryEntry> history;

  friend bool operator==(const ImageConfig&, const ImageConfig&) = default;

  /// Error: invalid_input with the JSON path; rootfs.type other than "layers" and a history that
  /// contradicts the layers are errors. Unknown fields are ignored.
  static Result<ImageConfig> parse(std::string_view bytes);

  /// Whether it says both os and architecture.
  [[nodiscard]] bool has_platform() const {
    return !platform.os.empty() && !platform.architecture.empty();
  }

  /// The value of an environment variable, if set.
  [[nodiscard]] std::optional<std::string> env_value(std::string_view name) const;
  /// Sets or replaces an environment variable, keeping its place.
  void set_env(std::string_view name, std::string_view value);
};

/// The JSON bytes of a config: fixed key order, compact, equal values give equal bytes.
std::string emit(const ImageConfig& config);

}  // namespace fnimage::manifest
