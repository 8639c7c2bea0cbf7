#include "store/names.hpp"

#include <algorithm>
#include <array>

#include <fnimage/base/text.hpp>

#include "store/store.hpp"

namespace fnimage::server {

namespace {

/// A repository inside of another one is a directory in a layout: it must not be one of its files.
constexpr std::array<std::string_view, 3> names_in_a_layout{"blobs", "index.json", "oci-layout"};

bool clashes_with_a_layout(std::string_view part) noexcept {
  return std::ranges::find(names_in_a_layout, part) != names_in_a_layout.end();
}

bool is_part_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// "." or "_" or "__" or any number of "-"
bool is_part_separator(std::string_view text) noexcept {
  return text == "." || text == "_" || text == "__" ||
         text.find_first_not_of('-') == std::string_view::npos;
}

}  // namespace

bool is_valid_part(std::string_view part) noexcept {
  if (part.empty() || !is_part_character(part.front()) || !is_part_character(part.back())) {
    return false;
  }
  const auto end = part.end();
  for (auto at = part.begin(); at != end;) {
    const auto separator = std::find_if_not(at, end, is_part_character);
    at = std::find_if(separator, end, is_part_character);
    if (!is_part_separator({separator, at})) {
      return false;
    }
  }
  return true;
}

bool is_valid_repository(std::string_view name) noexcept {
  constexpr std::size_t longest = 255;
  if (name.size() > longest) {
    return false;
  }
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t slash = std::min(name.find('/', from), name.size());
    if (!is_valid_part(name.substr(from, slash - from))) {
      return false;
    }
    from = slash + 1;
  }
  return true;
}

std::filesystem::path path_of_repository(std::string_view name) {
  std::filesystem::path path;
  for (const std::string_view part : split(name, '/')) {
    std::string directory(part);
    if (clashes_with_a_layout(part)) {
      directory += '_';
    }
    path /= directory;
  }
  return path;
}

std::optional<std::string> part_of_directory(std::string_view directory) {
  if (directory.ends_with('_')) {
    directory.remove_suffix(1);
    return clashes_with_a_layout(directory) ? std::optional(std::string(directory)) : std::nullopt;
  }
  return is_valid_part(directory) && !clashes_with_a_layout(directory)
             ? std::optional(std::string(directory))
             : std::nullopt;
}

}  // namespace fnimage::server
