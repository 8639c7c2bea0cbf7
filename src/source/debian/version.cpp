// dpkg's version comparison (lib/dpkg/version.c states the order; Policy 5.6.12 the rule).
// Thread-safety: pure functions.
#include "debian/version.hpp"

#include <fnimage/source/debian.hpp>

namespace fnimage::source::debian {
namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int rank(std::string_view text, std::size_t at) noexcept {
  if (at >= text.size() || is_digit(text[at])) {
    return 0;
  }
  if (text[at] == '~') {
    return -1;
  }
  return is_letter(text[at]) ? text[at] : static_cast<unsigned char>(text[at]) + 256;
}

std::string_view take_digits(std::string_view& text) noexcept {
  while (!text.empty() && text.front() == '0') {
    text.remove_prefix(1);
  }
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length])) {
    ++length;
  }
  const std::string_view digits = text.substr(0, length);
  text.remove_prefix(length);
  return digits;
}

int compare_part(std::string_view a, std::string_view b) noexcept {
  while (!a.empty() || !b.empty()) {
    while ((!a.empty() && !is_digit(a.front())) || (!b.empty() && !is_digit(b.front()))) {
      const int difference = rank(a, 0) - rank(b, 0);
      if (difference != 0) {
        return difference;
      }
      a.remove_prefix(a.empty() ? 0 : 1);
      b.remove_prefix(b.empty() ? 0 : 1);
    }
    const std::string_view digits_a = take_digits(a);
    const std::string_view digits_b = take_digits(b);
    if (digits_a.size() != digits_b.size()) {
      return digits_a.size() < digits_b.size() ? -1 : 1;
    }
    if (const int difference = digits_a.compare(digits_b); difference != 0) {
      return difference;
    }
  }
  return 0;
}

struct Parts {
  std::string_view epoch;
  std::string_view upstream;
  std::string_view revision;
};

Parts split_version(std::string_view text) noexcept {
  Parts parts;
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    parts.epoch = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (const std::size_t dash = text.rfind('-'); dash != std::string_view::npos) {
    parts.revision = text.substr(dash + 1);
    text = text.substr(0, dash);
  }
  parts.upstream = text;
  return parts;
}

}  // namespace

int compare_versions(std::string_view a, std::string_view b) noexcept {
  const Parts parts_a = split_version(a);
  const Parts parts_b = split_version(b);
  if (const int order = compare_part(parts_a.epoch, parts_b.epoch); order != 0) {
    return order;
  }
  if (const int order = compare_part(parts_a.upstream, parts_b.upstream); order != 0) {
    return order;
  }
  return compare_part(parts_a.revision, parts_b.revision);
}

}  // namespace fnimage::source::debian

namespace fnimage::source {

std::string_view source_version(std::string_view version) {
  const std::size_t plus = version.rfind("+b");
  const bool rebuilt = plus != std::string_view::npos && plus + 2 < version.size() &&
                       version.find_first_not_of("0123456789", plus + 2) == std::string_view::npos;
  return rebuilt ? version.substr(0, plus) : version;
}

}  // namespace fnimage::source
