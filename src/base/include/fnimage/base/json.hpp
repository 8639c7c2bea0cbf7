// The only way JSON from outside enters fnimage: size, depth and duplicate keys are checked,
// nothing is thrown (reliability V10, V11; nlohmann's parser keeps the last of two equal keys and
// dump() overflows on deep arrays). Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/base/result.hpp>

namespace fnimage {

struct JsonLimits {
  std::size_t max_bytes = std::size_t{4} * 1024 * 1024;  ///< larger texts are refused unread
  std::size_t max_depth = 64;                            ///< nesting of objects and arrays
  /// Of values, objects and arrays too: small ones take 40 times the memory of their text.
  std::size_t max_values = std::numeric_limits<std::size_t>::max();
};

/// Parses UTF-8 JSON. Error: invalid_input with the byte offset; names a duplicate key.
/// @param what the document's name for messages: "manifest of serverless:30501/action:latest".
Result<nlohmann::json> parse_json(std::string_view text, std::string_view what,
                                  JsonLimits limits = {});

/// Compact JSON text with keys as they stand; invalid UTF-8 is replaced, never thrown.
std::string to_json_text(const nlohmann::ordered_json& value);

/// Reads one object, checking types, with the JSON path in every error: "manifest: /layers/3/size:
/// not a number". Unknown keys are ignored, null counts as absent (image-spec rules).
class JsonObject {
 public:
  /// Error: invalid_input when `value` is not an object. `value` must outlive the view.
  static Result<JsonObject> of(const nlohmann::json& value, std::string path);

  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] Result<std::string> string(std::string_view key) const;
  [[nodiscard]] Result<std::string> string_or(std::string_view key, std::string fallback) const;
  [[nodiscard]] Result<std::int64_t> integer(std::string_view key) const;
  [[nodiscard]] Result<std::int64_t> integer_or(std::string_view key, std::int64_t fallback) const;
  /// The member as it is, or nullptr when absent or null.
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  JsonObject(const nlohmann::json& value, std::string path)
      : value_(&value), path_(std::move(path)) {}
  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace fnimage
