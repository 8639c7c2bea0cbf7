#include "api/target.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace fnimage::server {

namespace {

/// Nullopt for a '%' without two hexadecimal digits.
std::optional<std::string> decode_percent(std::string_view text) {
  constexpr std::size_t digits = 2;
  constexpr int base = 16;
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      decoded += text[at];
      continue;
    }
    const std::string_view code = text.substr(at + 1, digits);
    unsigned char value = 0;
    const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), value, base);
    if (code.size() != digits || error != std::errc() || end != code.data() + digits) {
      return std::nullopt;
    }
    decoded += static_cast<char>(value);
    at += digits;
  }
  return decoded;
}

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = path.find('/');
    parts.push_back(path.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    path.remove_prefix(end + 1);
  }
}

std::string repository_of(const std::vector<std::string>& parts, std::size_t count) {
  return fmt::format(
      "{}", fmt::join(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count), "/"));
}

/// Which endpoint the last parts of a path name; a repository's name may hold any of the words.
std::optional<Target> match(const std::vector<std::string>& parts) {
  const std::size_t count = parts.size();
  const auto is = [&](std::size_t from_end, std::string_view word) {
    return count > from_end && parts[count - from_end] == word;
  };
  const auto target = [&](Endpoint endpoint, std::size_t used, std::string reference) {
    return Target{endpoint, repository_of(parts, count - used), std::move(reference)};
  };
  if (is(3, "blobs") && is(2, "uploads")) {
    const bool is_list = parts.back().empty();
    return target(is_list ? Endpoint::uploads : Endpoint::upload, 3, parts.back());
  }
  if (is(2, "blobs")) {
    return parts.back() == "uploads" ? target(Endpoint::uploads, 2, {})
                                     : target(Endpoint::blob, 2, parts.back());
  }
  if (is(2, "tags") && is(1, "list")) {
    return target(Endpoint::tags, 2, {});
  }
  if (is(2, "manifests")) {
    return target(Endpoint::manifest, 2, parts.back());
  }
  if (is(2, "referrers")) {
    return target(Endpoint::referrers, 2, parts.back());
  }
  return std::nullopt;
}

}  // namespace

std::optional<Target> parse_target(std::string_view path) {
  constexpr std::string_view root = "/v2";
  if (!path.starts_with(root)) {
    return std::nullopt;
  }
  path.remove_prefix(root.size());
  if (path.empty() || path == "/") {
    return Target{};
  }
  if (path.front() != '/') {
    return std::nullopt;
  }
  path.remove_prefix(1);
  if (path == "_catalog") {
    return Target{.endpoint = Endpoint::catalog};
  }
  std::vector<std::string> parts;
  for (const std::string_view part : split_path(path)) {
    auto decoded = decode_percent(part);
    if (!decoded || decoded->find('/') != std::string::npos) {
      return std::nullopt;  // "%2F" is no separator: proxies in front would see another path
    }
    parts.push_back(std::move(*decoded));
  }
  return match(parts);
}

Query::Query(std::string_view text) {
  constexpr std::size_t most = 1000;
  while (!text.empty() && parameters_.size() < most) {
    const std::string_view parameter = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), parameter.size() + 1));
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    auto name = decode_percent(parameter.substr(0, equals));
    auto value = decode_percent(parameter.substr(std::min(parameter.size(), equals + 1)));
    if (name && value && !name->empty()) {
      parameters_.emplace_back(std::move(*name), std::move(*value));
    }
  }
}

std::optional<std::string> Query::get(std::string_view name) const {
  const auto found = std::ranges::find_if(
      parameters_, [&](const auto& parameter) { return parameter.first == name; });
  return found == parameters_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : parameters_) {
    if (key == name) {
      values.push_back(value);
    }
  }
  return values;
}

std::string encode_query(std::string_view text) {
  constexpr std::string_view plain = "-._~:/@";
  std::string encoded;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || plain.find(c) != std::string_view::npos;
    encoded += is_plain
                   ? std::string(1, c)
                   : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return encoded;
}

}  // namespace fnimage::server
