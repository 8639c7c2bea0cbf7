// See the header.
#include <algorithm>
#include <cstddef>
#include <string>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/node/label.hpp>

namespace fnimage::node {

namespace {

constexpr std::size_t max_name = 63;
constexpr std::size_t max_prefix = 253;
constexpr std::size_t shown_label = 80;

constexpr bool is_lower_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
constexpr bool is_alphanumeric(char c) noexcept {
  return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z');
}

/// Letters and digits at both ends, and within also `-`, `_` and `.`.
bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= max_name && is_alphanumeric(text.front()) &&
         is_alphanumeric(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
         });
}

/// RFC 1123's subdomain, whose parts Kubernetes does not limit.
bool is_dns_name(std::string_view text) {
  if (text.empty() || text.size() > max_prefix) {
    return false;
  }
  const auto parts = split(text, '.');
  return std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
    return !part.empty() && is_lower_alphanumeric(part.front()) &&
           is_lower_alphanumeric(part.back()) && std::all_of(part.begin(), part.end(), [](char c) {
             return is_lower_alphanumeric(c) || c == '-';
           });
  });
}

}  // namespace

Result<void> check_label_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  const bool has_prefix = slash != std::string_view::npos;
  const std::string_view name = has_prefix ? key.substr(slash + 1) : key;
  if (is_name(name) && (!has_prefix || is_dns_name(key.substr(0, slash)))) {
    return {};
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("is no label key: \"{}\"", printable(key, shown_label)),
              "write it like warehouse or example.com/warehouse: at most 63 letters, digits, '-', "
              "'_' and '.', with letters or digits at both ends");
}

Result<void> check_label_value(std::string_view value) {
  if (value.empty() || is_name(value)) {
    return {};
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("is no label value: \"{}\"", printable(value, shown_label)),
              "it has at most 63 letters, digits, '-', '_' and '.', with letters or digits at both "
              "ends");
}

}  // namespace fnimage::node
