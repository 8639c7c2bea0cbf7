// YAML as a small tree of values with positions. Private to build. Only what a build file needs is
// accepted: one document of mappings, lists and scalars; anchors, aliases and tags are refused, as
// are duplicate keys, which yaml-cpp lets through. Scalars keep their text as written, so that
// 0755 and 1000:1000 mean what they say. Thread-safety: a value type and a pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::build {

/// Where something stands in a text; both count from 1, columns in bytes.
struct Position {
  std::size_t line = 1;
  std::size_t column = 1;
};

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, list, mapping };
  Kind kind = Kind::null;
  Position at{};                     ///< of the value; of its key when the value is null
  std::string text{};                ///< scalar
  std::string key{};                 ///< when this is a member of a mapping
  Position key_at{};                 ///< when this is a member of a mapping
  std::vector<YamlNode> children{};  ///< items of a list, members of a mapping, as written

  /// A mapping's member; nullptr when there is none.
  [[nodiscard]] const YamlNode* find(std::string_view name) const noexcept;
};

/// Texts larger than this are refused: yaml-cpp needs about 250 bytes of memory per byte at worst.
inline constexpr std::size_t max_yaml_bytes = std::size_t{256} * 1024;
inline constexpr std::size_t max_yaml_depth = 64;

/// "file:line:column: message" as an error.
Error error_at(std::string_view file_name, Position at, ErrorCode code, std::string_view message);

/// Error: invalid_input with "file:line:column: …". An empty text is an empty mapping.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view file_name);

}  // namespace fnimage::build
