// Content descriptor: image-spec descriptor.md (V1-V4). Thread-safety: a value type.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::manifest {

using Annotations = std::map<std::string, std::string>;

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;  ///< bytes
  Annotations annotations{};
  std::optional<Platform> platform{};
  std::string artifact_type{};        ///< empty = absent
  std::vector<std::string> urls{};    ///< foreign content; never fetched by fnimage
  std::optional<std::string> data{};  ///< embedded content, decoded and already verified

  friend bool operator==(const Descriptor&, const Descriptor&) = default;
};

/// Parses and checks one descriptor. @param path JSON path for messages ("/layers/3"). Error:
/// invalid_input.
Result<Descriptor> parse_descriptor(const nlohmann::json& value, const std::string& path);

}  // namespace fnimage::manifest
