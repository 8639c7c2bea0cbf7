#include "spec_reader.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>

namespace fnimage::build {

namespace {

std::string_view kind_name(const YamlNode& node) noexcept {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "a single value";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::mapping:
      return "a mapping";
  }
  return "a value";
}

/// "'packages' " when the node has a key, for the beginning of a message.
std::string subject(const YamlNode& node) {
  return node.key.empty() ? "this " : fmt::format("'{}' ", printable(node.key, shown_bytes));
}

bool has_parent_step(std::string_view path) {
  const std::vector<std::string_view> parts = split(path, '/');
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

/// Paths with control bytes are refused: they would end up in messages, tar headers and logs.
bool has_control_bytes(std::string_view path) noexcept {
  return std::any_of(path.begin(), path.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; });
}

/// The names beside a missing file, for "did you mean".
std::optional<std::string> nearest_sibling(const std::filesystem::path& path) {
  constexpr std::size_t most = 1000;
  std::vector<std::string> names;
  std::error_code error;
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  for (std::filesystem::directory_iterator entry(parent, error), end;
       !error && entry != end && names.size() < most; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  return nearest(path.filename().string(), views);
}

}  // namespace

std::string choices(std::span<const std::string_view> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += i == 0 ? "" : (i + 1 == words.size() ? " or " : ", ");
    text += fmt::format("'{}'", words[i]);
  }
  return text;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  const auto found = nearest(word, candidates);
  return found ? fmt::format("; did you mean '{}'?", printable(*found, shown_bytes))
               : std::string();
}

std::string SpecReader::place(const YamlNode& node) const {
  return fmt::format("{}:{}:{}", printable(file_name_), node.at.line, node.at.column);
}

tl::unexpected<Error> SpecReader::refuse(const YamlNode& node, std::string_view message,
                                         std::string hint) const {
  return fail(error(node.at, ErrorCode::invalid_input, message).with_hint(std::move(hint)));
}

tl::unexpected<Error> SpecReader::refuse_key(const YamlNode& node, std::string_view message,
                                             std::string hint) const {
  return fail(error(node.key_at, ErrorCode::invalid_input, message).with_hint(std::move(hint)));
}

Result<void> SpecReader::expect_mapping(const YamlNode& node,
                                        std::span<const std::string_view> keys) const {
  if (node.kind != YamlNode::Kind::mapping) {
    return refuse(node, fmt::format("{}must be a mapping, not {}", subject(node), kind_name(node)),
                  fmt::format("known keys: {}", fmt::join(keys, ", ")));
  }
  for (const YamlNode& member : node.children) {
    if (std::find(keys.begin(), keys.end(), member.key) == keys.end()) {
      return refuse_key(member,
                        fmt::format("unknown key '{}'{}", printable(member.key, shown_bytes),
                                    did_you_mean(member.key, keys)),
                        fmt::format("known keys: {}", fmt::join(keys, ", ")));
    }
  }
  return {};
}

Result<void> SpecReader::expect_list(const YamlNode& node) const {
  if (node.kind != YamlNode::Kind::list) {
    return refuse(node, fmt::format("{}must be a list, not {}", subject(node), kind_name(node)),
                  "write [a, b], or one \"- a\" per line");
  }
  return {};
}

Result<const YamlNode*> SpecReader::require(const YamlNode& mapping, std::string_view key) const {
  const YamlNode* member = mapping.find(key);
  if (member == nullptr) {
    return refuse(mapping, fmt::format("key '{}' is missing", key));
  }
  return member;
}

Result<std::string> SpecReader::text(const YamlNode& node) const {
  if (node.kind == YamlNode::Kind::null) {
    return refuse(node, fmt::format("{}has no value", subject(node)),
                  "write the value behind the colon, or \"\" for an empty one");
  }
  if (node.kind != YamlNode::Kind::scalar) {
    return refuse(node,
                  fmt::format("{}must be a single value, not {}", subject(node), kind_name(node)));
  }
  if (node.text.find('\0') != std::string::npos) {
    return refuse(node, fmt::format("{}must not contain a zero byte", subject(node)));
  }
  return node.text;
}

Result<std::string> SpecReader::text_not_empty(const YamlNode& node) const {
  FNIMAGE_TRY(std::string value, text(node));
  if (value.empty()) {
    return refuse(node, fmt::format("{}must not be empty", subject(node)));
  }
  return value;
}

Result<bool> SpecReader::boolean(const YamlNode& node) const {
  FNIMAGE_TRY(const std::string value, text(node));
  if (value != "true" && value != "false") {
    return refuse(node, fmt::format("{}must be true or false, not '{}'", subject(node),
                                    printable(value, shown_bytes)));
  }
  return value == "true";
}

Result<std::vector<std::string>> SpecReader::text_list(const YamlNode& node) const {
  FNIMAGE_CHECK(expect_list(node));
  std::vector<std::string> values;
  for (const YamlNode& item : node.children) {
    FNIMAGE_TRY(std::string value, text(item));
    values.push_back(std::move(value));
  }
  return values;
}

Result<std::map<std::string, std::string>> SpecReader::text_map(const YamlNode& node) const {
  if (node.kind != YamlNode::Kind::mapping) {
    return refuse(node, fmt::format("{}must be a mapping, not {}", subject(node), kind_name(node)),
                  "write one \"name: value\" per line");
  }
  std::map<std::string, std::string> values;
  for (const YamlNode& member : node.children) {
    FNIMAGE_TRY(std::string value, text(member));
    if (member.key.empty()) {
      return refuse_key(member, "a name must not be empty");
    }
    values.emplace(member.key, std::move(value));
  }
  return values;
}

Result<std::string> SpecReader::relative_path(const YamlNode& node, bool inside) const {
  FNIMAGE_TRY(std::string path, text_not_empty(node));
  if (has_control_bytes(path)) {
    return refuse(node, fmt::format("{}contains control characters", subject(node)));
  }
  if (path.front() == '/') {
    return refuse(node,
                  fmt::format("{}must be relative to the build file, not '{}'", subject(node),
                              printable(path, shown_bytes)),
                  "a build must not depend on where files are on one machine");
  }
  if (inside && has_parent_step(path)) {
    return refuse(node, fmt::format("{}must not lead out of the build file's directory: '{}'",
                                    subject(node), printable(path, shown_bytes)));
  }
  return path;
}

Result<void> SpecReader::expect_exists(const YamlNode& node, const std::string& path) const {
  if (directory_.empty()) {
    return {};
  }
  const std::filesystem::path full = directory_ / path;
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(full, error))) {
    return {};
  }
  std::string suggestion;
  if (const auto sibling = nearest_sibling(full)) {
    suggestion = fmt::format("; did you mean '{}'?", printable(*sibling, shown_bytes));
  }
  return fail(this->error(node.at, ErrorCode::not_found,
                          fmt::format("no file '{}' in {}{}", printable(path),
                                      printable(directory_.string()), suggestion))
                  .with_hint("paths in a build file are relative to it"));
}

Result<std::string> SpecReader::image_path(const YamlNode& node) const {
  FNIMAGE_TRY(std::string path, text_not_empty(node));
  if (has_control_bytes(path)) {
    return refuse(node, fmt::format("{}contains control characters", subject(node)));
  }
  if (path.front() != '/') {
    return refuse(node,
                  fmt::format("{}must be an absolute path in the image, not '{}'", subject(node),
                              printable(path, shown_bytes)),
                  "begin it with '/'");
  }
  if (has_parent_step(path)) {
    return refuse(node, fmt::format("{}must not contain '..': '{}'", subject(node),
                                    printable(path, shown_bytes)));
  }
  return path;
}

}  // namespace fnimage::build
