#include "spec_values.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/media_types.hpp>

namespace fnimage::build {

namespace {

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_letter(char c) noexcept {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
constexpr bool is_lower_or_digit(char c) noexcept {
  return is_lower(c) || is_digit(c);
}

/// The first byte is accepted by `first`, all others by `first` or as one of `others`.
template <class First>
bool matches(std::string_view text, First first, std::string_view others) noexcept {
  return !text.empty() && first(text.front()) &&
         std::all_of(text.begin() + 1, text.end(),
                     [&](char c) { return first(c) || others.find(c) != std::string_view::npos; });
}

constexpr std::array<std::string_view, 5> placeholders{"os", "arch", "variant", "deb_arch",
                                                       "triplet"};

bool is_user_part(std::string_view text) noexcept {
  return text.size() <= 32 &&
         matches(
             text, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; }, ".-");
}

}  // namespace

bool is_function_name(std::string_view name) noexcept {
  if (name.size() > 128 || !matches(name, is_lower_or_digit, "._-") ||
      !is_lower_or_digit(name.back())) {
    return false;
  }
  // Between two parts: one '.', one or two '_', or any number of '-'.
  for (std::size_t i = 0; i < name.size();) {
    std::size_t end = i;
    while (!is_lower_or_digit(name[end])) {
      ++end;
    }
    const std::string_view joint = name.substr(i, end - i);
    if (!joint.empty() && joint != "." && joint != "_" && joint != "__" &&
        joint.find_first_not_of('-') != std::string_view::npos) {
      return false;
    }
    i = end + 1;
  }
  return true;
}

bool is_layer_name(std::string_view name) noexcept {
  return name.size() <= 63 && matches(name, is_lower_or_digit, "._-");
}

bool is_package_name(std::string_view name) noexcept {
  return name.size() >= 2 && name.size() <= 128 && matches(name, is_lower_or_digit, "+.-");
}

bool is_package_request(std::string_view text) noexcept {
  const std::size_t mark = text.find_first_of("=/");
  if (!is_package_name(text.substr(0, mark))) {
    return false;
  }
  if (mark == std::string_view::npos) {
    return true;
  }
  const std::string_view version = text.substr(mark + 1);
  if (text[mark] == '/') {
    return is_release_name(version);
  }
  return version.size() <= 128 &&
         matches(
             version, [](char c) { return is_letter(c) || is_digit(c); }, ".+~:-");
}

bool is_release_name(std::string_view name) noexcept {
  return name.size() <= 64 && matches(name, is_lower_or_digit, "./+-") &&
         name.find("..") == std::string_view::npos;
}

bool is_local_deb(std::string_view text) noexcept {
  return text.size() <= 1024 && text.ends_with(".deb") &&
         (text.starts_with("/") || text.starts_with("./") || text.starts_with("../")) &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

bool is_environment_name(std::string_view name) noexcept {
  return !is_digit(name.empty() ? '0' : name.front()) &&
         matches(
             name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; }, ".-");
}

bool is_user(std::string_view text) noexcept {
  const std::size_t colon = text.find(':');
  return is_user_part(text.substr(0, colon)) &&
         (colon == std::string_view::npos || is_user_part(text.substr(colon + 1)));
}

std::optional<std::uint32_t> parse_mode(std::string_view text) noexcept {
  if (text.starts_with("0o")) {
    text.remove_prefix(2);
  }
  if (text.size() < 3 || text.size() > 5) {
    return std::nullopt;
  }
  std::uint32_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') {
      return std::nullopt;
    }
    mode = mode * 8 + static_cast<std::uint32_t>(c - '0');
  }
  return mode <= 07777 ? std::optional(mode) : std::nullopt;
}

std::span<const std::string_view> placeholder_names() noexcept {
  return placeholders;
}

bool has_placeholder(std::string_view text) noexcept {
  return text.find('{') != std::string_view::npos;
}

std::optional<std::string> unknown_placeholder(std::string_view text) {
  for (std::size_t i = text.find_first_of("{}"); i != std::string_view::npos;
       i = text.find_first_of("{}", i)) {
    const std::size_t end = text.find('}', i);
    if (text[i] == '}' || end == std::string_view::npos) {
      return std::string(text.substr(i));
    }
    const std::string_view name = text.substr(i + 1, end - i - 1);
    if (std::find(placeholders.begin(), placeholders.end(), name) == placeholders.end()) {
      return std::string(text.substr(i, end - i + 1));
    }
    i = end + 1;
  }
  return std::nullopt;
}

std::optional<manifest::Finding> fault_among(std::span<const manifest::Platform> platforms,
                                             std::size_t position) {
  // The rules of what is published, before the work instead of after it.
  manifest::Index list{.manifests = {}};
  for (const manifest::Platform& platform : platforms) {
    list.manifests.push_back({.media_type = std::string(manifest::media_type::oci_manifest),
                              .digest = manifest::Digest::of(platform.str()),
                              .size = 1,
                              .platform = platform});
  }
  const std::string prefix = fmt::format("/manifests/{}/", position);
  for (manifest::Finding& finding : manifest::validate(list)) {
    if (finding.fatal && finding.path.starts_with(prefix)) {
      return std::move(finding);
    }
  }
  return std::nullopt;
}

}  // namespace fnimage::build
