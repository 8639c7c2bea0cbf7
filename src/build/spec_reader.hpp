// Typed reading of a YAML tree: every wrong type, unknown key and bad value becomes an error that
// names file, line and column. Private to build. Thread-safety: value types.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

#include "yaml_tree.hpp"

namespace fnimage::build {

/// How much of a wrong text an error quotes.
inline constexpr std::size_t shown_bytes = 80;

/// Reads nodes of one file. The file name must outlive it.
class SpecReader {
 public:
  /// @param directory what paths are relative to; empty = paths are not looked up.
  SpecReader(std::string_view file_name, std::filesystem::path directory)
      : file_name_(file_name), directory_(std::move(directory)) {}

  /// invalid_input at the node's place.
  [[nodiscard]] tl::unexpected<Error> refuse(const YamlNode& node, std::string_view message,
                                             std::string hint = {}) const;
  /// The same at the node's key, for what is wrong with a member as a whole.
  [[nodiscard]] tl::unexpected<Error> refuse_key(const YamlNode& node, std::string_view message,
                                                 std::string hint = {}) const;
  [[nodiscard]] Error error(Position at, ErrorCode code, std::string_view message) const {
    return error_at(file_name_, at, code, message);
  }

  /// "file:line:column" of a node.
  [[nodiscard]] std::string place(const YamlNode& node) const;

  /// The node is a mapping with no other keys than these; an unknown one is named with the nearest.
  [[nodiscard]] Result<void> expect_mapping(const YamlNode& node,
                                            std::span<const std::string_view> keys) const;
  [[nodiscard]] Result<void> expect_list(const YamlNode& node) const;
  /// A member that must be there.
  [[nodiscard]] Result<const YamlNode*> require(const YamlNode& mapping,
                                                std::string_view key) const;

  /// A scalar's text, which may be empty only when it was written as "".
  [[nodiscard]] Result<std::string> text(const YamlNode& node) const;
  [[nodiscard]] Result<std::string> text_not_empty(const YamlNode& node) const;
  [[nodiscard]] Result<bool> boolean(const YamlNode& node) const;
  [[nodiscard]] Result<std::vector<std::string>> text_list(const YamlNode& node) const;
  [[nodiscard]] Result<std::map<std::string, std::string>> text_map(const YamlNode& node) const;

  /// A path relative to the build file. @param inside refuses "..".
  [[nodiscard]] Result<std::string> relative_path(const YamlNode& node, bool inside) const;
  /// The path exists below the directory.
  [[nodiscard]] Result<void> expect_exists(const YamlNode& node, const std::string& path) const;
  /// An absolute path in the image, without "..".
  [[nodiscard]] Result<std::string> image_path(const YamlNode& node) const;

 private:
  std::string_view file_name_;
  std::filesystem::path directory_;
};

/// " 'a', 'b' or 'c'" for messages.
std::string choices(std::span<const std::string_view> words);

/// "; did you mean 'x'?" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace fnimage::build
