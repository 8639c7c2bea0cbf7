#include "identity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::sbom {

namespace {

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(".-_~:").find(c) != std::string_view::npos;
}

/// All bytes but letters, digits, ". - _ ~" and the colon, which purl never encodes.
std::string encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

/// Digits only, all of the text.
std::optional<int> number_of(std::string_view text) {
  int number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool digits = !text.empty() && text.front() != '-';
  return digits && read.ec == std::errc() && read.ptr == text.data() + text.size()
             ? std::optional(number)
             : std::nullopt;
}

/// "Z", "+02:00" or "-07:00".
std::optional<std::chrono::minutes> offset_of(std::string_view zone) {
  constexpr std::size_t zone_size = 6;
  if (zone == "Z" || zone == "z") {
    return std::chrono::minutes(0);
  }
  if (zone.size() != zone_size || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') {
    return std::nullopt;
  }
  const auto hours = number_of(zone.substr(1, 2));
  const auto minutes = number_of(zone.substr(4, 2));
  if (!hours || !minutes) {
    return std::nullopt;
  }
  const std::chrono::minutes offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return zone[0] == '-' ? -offset : offset;
}

struct Moment {
  std::chrono::sys_days day;
  std::chrono::seconds time;
};

/// "2023-06-10T12:00:00", without what follows.
std::optional<Moment> moment_of(std::string_view text) {
  constexpr std::array<std::size_t, 6> begins{0, 5, 8, 11, 14, 17};
  constexpr std::array<std::size_t, 6> sizes{4, 2, 2, 2, 2, 2};
  constexpr std::array<int, 6> most{9998, 12, 31, 23, 59, 60};
  std::array<int, 6> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto part = number_of(text.substr(begins[i], sizes[i]));
    if (!part || *part > most[i]) {
      return std::nullopt;
    }
    parts[i] = *part;
  }
  const bool separated = text[4] == '-' && text[7] == '-' && (text[10] == 'T' || text[10] == 't') &&
                         text[13] == ':' && text[16] == ':';
  const std::chrono::year_month_day day{std::chrono::year{parts[0]},
                                        std::chrono::month{static_cast<unsigned>(parts[1])},
                                        std::chrono::day{static_cast<unsigned>(parts[2])}};
  if (!separated || !day.ok() || parts[0] == 0) {
    return std::nullopt;
  }
  return Moment{.day = std::chrono::sys_days(day),
                .time = std::chrono::hours(parts[3]) + std::chrono::minutes(parts[4]) +
                        std::chrono::seconds(parts[5])};
}

}  // namespace

std::string purl_of(const source::InstalledPackage& package, const Distribution& distribution) {
  const std::string vendor = distribution.id.empty() ? "debian" : distribution.id;
  std::string purl = fmt::format("pkg:deb/{}/{}@{}?arch={}", encode(to_lower(vendor)),
                                 encode(to_lower(package.name)), encode(package.version),
                                 encode(package.architecture));
  if (!distribution.id.empty() && !distribution.version.empty()) {
    purl += fmt::format("&distro={}",
                        encode(fmt::format("{}-{}", distribution.id, distribution.version)));
  }
  return purl;
}

std::string purl_of(const Contents& contents) {
  return fmt::format("pkg:oci/{}@{}?arch={}", encode(to_lower(contents.name)),
                     encode(contents.image.digest.str()), encode(contents.platform.architecture));
}

std::string uuid_of(const Contents& contents, Format format) {
  const std::string name =
      fmt::format("fnimage {}\n{}\n{}\n{}\n{}", FNIMAGE_VERSION, to_string(format),
                  contents.image.digest.str(), contents.platform.str(), contents.name);
  std::string hex(manifest::Digest::of(std::string_view(name)).hex());
  constexpr std::size_t version_at = 12;
  constexpr std::size_t variant_at = 16;
  hex[version_at] = '8';
  constexpr std::string_view variants = "89ab";
  hex[variant_at] = variants[static_cast<unsigned char>(hex[variant_at]) % variants.size()];
  const std::string_view digits(hex);
  return fmt::format("{}-{}-{}-{}-{}", digits.substr(0, 8), digits.substr(8, 4),
                     digits.substr(12, 4), digits.substr(16, 4), digits.substr(20, 12));
}

std::string utc_time(std::string_view text) {
  constexpr std::string_view epoch = "1970-01-01T00:00:00Z";
  constexpr std::size_t whole_seconds = 19;
  const auto moment = text.size() > whole_seconds ? moment_of(text) : std::nullopt;
  if (!moment) {
    return std::string(epoch);
  }
  std::string_view zone = text.substr(whole_seconds);
  if (zone.starts_with('.')) {
    zone.remove_prefix(std::min(zone.find_first_not_of("0123456789", 1), zone.size()));
  }
  const auto offset = offset_of(zone);
  if (!offset) {
    return std::string(epoch);
  }
  const std::chrono::sys_seconds time = moment->day + moment->time - *offset;
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

Person parse_person(std::string_view text) {
  const std::size_t open = text.rfind('<');
  if (open == std::string_view::npos || !text.ends_with('>')) {
    return {.name = trim(text)};
  }
  const std::string_view address = trim(text.substr(open + 1, text.size() - open - 2));
  const std::string_view name = trim(text.substr(0, open));
  const bool usable =
      address.find('@') != std::string_view::npos &&
      std::ranges::all_of(address, [](char c) { return c > ' ' && c < '\x7f' && c != '('; });
  return usable ? Person{.name = name.empty() ? address : name, .address = address}
                : Person{.name = name.empty() ? address : name};
}

bool is_web_address(std::string_view text) {
  return (text.starts_with("http://") || text.starts_with("https://")) &&
         text.find_first_of("\"<>\\^`{|}") == std::string_view::npos &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace fnimage::sbom
