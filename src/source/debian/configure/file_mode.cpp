// See the header.
#include "debian/configure/file_mode.hpp"

#include <charconv>

#include <fnimage/base/text.hpp>

namespace fnimage::source::debian {
namespace {

constexpr std::uint32_t all_bits = 07777;
constexpr std::uint32_t set_id_bits = 06000;
constexpr std::uint32_t execute_bits = 0111;

// "ug" as the bits of these classes.
std::uint32_t class_bits(std::string_view who) {
  std::uint32_t bits = 0;
  for (const char c : who) {
    bits |= c == 'u' || c == 'a' ? 04700U : 0U;
    bits |= c == 'g' || c == 'a' ? 02070U : 0U;
    bits |= c == 'o' || c == 'a' ? 01007U : 0U;
  }
  return bits;
}

std::optional<std::uint32_t> permission_bits(char c, std::uint32_t old, bool is_directory) {
  switch (c) {
    case 'r':
      return 0444U;
    case 'w':
      return 0222U;
    case 'x':
      return execute_bits;
    case 'X':
      return is_directory || (old & execute_bits) != 0 ? execute_bits : 0U;
    case 's':
      return set_id_bits;
    case 't':
      return 01000U;
    default:
      return std::nullopt;
  }
}

// One clause, "go-w".
std::optional<std::uint32_t> apply_clause(std::string_view clause, std::uint32_t old,
                                          bool is_directory) {
  const std::size_t at = clause.find_first_of("+-=");
  if (at == std::string_view::npos ||
      clause.substr(0, at).find_first_not_of("ugoa") != std::string_view::npos) {
    return std::nullopt;
  }
  const bool everybody = at == 0;
  std::uint32_t who = everybody ? all_bits : class_bits(clause.substr(0, at));
  std::uint32_t bits = 0;
  for (const char c : clause.substr(at + 1)) {
    const auto one = permission_bits(c, old, is_directory);
    if (!one) {
      return std::nullopt;
    }
    // With no class, chmod leaves out what the usual umask takes.
    bits |= everybody && c == 'w' ? 0200U : *one;
    who |= c == 't' ? 01000U : 0U;
  }
  bits &= who;
  if (clause[at] == '+') {
    return old | bits;
  }
  return clause[at] == '-' ? old & ~bits : (old & ~who) | bits;
}

}  // namespace

std::optional<std::uint32_t> changed_mode(std::string_view text, std::uint32_t old,
                                          bool is_directory) {
  std::uint32_t mode = 0;
  constexpr int octal = 8;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), mode, octal);
  if (!text.empty() && parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size()) {
    if (mode > all_bits) {
      return std::nullopt;
    }
    // chmod keeps a directory's set-id bits unless the number says all of them.
    constexpr std::size_t full_digits = 5;
    return is_directory && text.size() < full_digits ? mode | (old & set_id_bits) : mode;
  }
  for (const std::string_view clause : split(text, ',')) {
    const auto next = apply_clause(clause, old, is_directory);
    if (!next) {
      return std::nullopt;
    }
    old = *next;
  }
  return old;
}

}  // namespace fnimage::source::debian
