// The logical lines of Python source, found without running it: strings and comments are passed
// over, brackets and continued lines joined. Source: The Python Language Reference, "Lexical
// analysis". Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::notebook {

/// What Python reads as one line. Lines with nothing on them are none.
struct LogicalLine {
  std::size_t indent = 0;   ///< columns; a tab fills up to a multiple of 8
  std::string text{};       ///< trimmed, without comments, strings replaced by ""
  std::string_view raw{};   ///< as it stands in the source, from its first character on
  std::size_t number = 0;   ///< of its first line in the source, from 1
  std::string_view note{};  ///< the comment at its end, without "#", trimmed
};

/// All lines, in their order; `raw` and `note` point into the source. Source that is no Python
/// gives what looks like lines in it.
std::vector<LogicalLine> logical_lines(std::string_view source);

/// The size of the string literal at the front of `text`, which begins with its quote: up to what
/// ends it, or to the end of the line where a short one is not ended.
std::size_t string_size(std::string_view text);

/// Letters, digits, "_" and whatever is not ASCII: what names of Python are made of.
bool is_name_character(char c) noexcept;

}  // namespace fnimage::notebook
