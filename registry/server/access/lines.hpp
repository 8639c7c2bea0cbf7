// Files with a line for each entry. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

struct Line {
  std::size_t number;  ///< from 1
  std::string_view text;
};

/// Those that say something, without blanks around them: not the empty ones, nor those that begin
/// with '#'.
std::vector<Line> lines_of(std::string_view text);

/// The words of a line.
std::vector<std::string_view> words_of(std::string_view line);

/// "FILE:7: message"
Error at_line(const std::string& file, std::size_t number, const Error& error);

}  // namespace fnimage::server
