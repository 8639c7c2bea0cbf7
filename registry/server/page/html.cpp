#include "page/html.hpp"

#include <cstdint>

#include <fmt/format.h>

namespace fnimage::server {

namespace {

/// A character's code and how many bytes it has; no bytes: what is there is no UTF-8.
struct DecodedCharacter {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

DecodedCharacter decode_character(std::string_view text) {
  constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t size = first < 0x80              ? 1
                           : (first & 0xE0U) == 0xC0 ? 2
                           : (first & 0xF0U) == 0xE0 ? 3
                           : (first & 0xF8U) == 0xF0 ? 4
                                                     : 0;
  if (size == 0 || size > text.size()) {
    return {};
  }
  std::uint32_t code = size == 1 ? first : first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return {};
    }
    code = (code << 6U) | (byte(i) & 0x3FU);
  }
  const bool is_character =
      code >= least[size] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return is_character ? DecodedCharacter{code, size} : DecodedCharacter{};
}

bool is_visible(std::uint32_t code) {
  const auto within = [&](std::uint32_t first, std::uint32_t last) {
    return code >= first && code <= last;
  };
  const bool is_control = (code < 0x20 && code != '\n') || within(0x7F, 0x9F);
  const bool is_direction =
      within(0x202A, 0x202E) || within(0x2066, 0x206F) || within(0x200B, 0x200F) || code == 0x061C;
  const bool is_other = within(0x2028, 0x2029) || code == 0xFEFF || within(0xFFF9, 0xFFFB) ||
                        within(0xE0000, 0xE007F) || (code & 0xFFFEU) == 0xFFFE;
  return !is_control && !is_direction && !is_other;
}

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto [code, size] = decode_character(text);
    if (const std::string_view entity = entity_of(text.front()); !entity.empty()) {
      out += entity;
    } else if (size == 0) {
      out += fmt::format("\\x{:02X}", static_cast<unsigned>(static_cast<unsigned char>(text[0])));
    } else if (!is_visible(code)) {
      out += code < 0x100 ? fmt::format("\\x{:02X}", code) : fmt::format("\\u{:04X}", code);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
}

}  // namespace fnimage::server
