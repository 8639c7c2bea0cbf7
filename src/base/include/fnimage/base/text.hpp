// Small text helpers that several modules need. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage {

/// Without leading and trailing blanks, tabs and line ends.
std::string_view trim(std::string_view text) noexcept;

/// Splits at every separator; empty parts are kept. "a,,b" gives three parts, "" gives one empty
/// part.
std::vector<std::string_view> split(std::string_view text, char separator);

std::string join(std::span<const std::string> parts, std::string_view separator);

/// ASCII lower case; other bytes unchanged.
std::string to_lower(std::string_view text);

/// True when the texts are equal but for ASCII case.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// The candidate nearest to `word` by edit distance, if any is near enough to be a likely typing
/// mistake.
std::optional<std::string> nearest(std::string_view word,
                                   std::span<const std::string_view> candidates);

/// Makes text from outside safe for a terminal: control bytes and invalid UTF-8 become `\xNN`.
/// @param max_bytes longer texts are cut and end in "…".
std::string printable(std::string_view text, std::size_t max_bytes = 512);

}  // namespace fnimage
