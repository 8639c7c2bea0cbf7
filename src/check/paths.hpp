// Parts of paths, and small files of an image as text. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/stream.hpp>
#include <fnimage/layer/entry.hpp>

namespace fnimage::check {

/// What is before the last '/'; empty when there is none.
inline std::string_view directory_of(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// What is behind the last '/'.
inline std::string_view name_of(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);
}

/// The content of a file; nullopt for what is no file, is larger than `limit` or cannot be read.
inline std::optional<std::string> text_of(const layer::Entry& entry, std::uint64_t limit) {
  if (!entry.content || entry.size() > limit) {
    return std::nullopt;
  }
  const auto reader = entry.content->open();
  if (!reader) {
    return std::nullopt;
  }
  Result<std::string> text = read_all(**reader, limit);
  return text ? std::optional(std::move(*text)) : std::nullopt;
}

}  // namespace fnimage::check
