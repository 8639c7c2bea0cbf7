#include "access/lines.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::server {

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    const std::string_view content = trim(line);
    if (!content.empty() && content.front() != '#') {
      lines.push_back({number, content});
    }
  }
  return lines;
}

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  std::vector<std::string_view> words;
  while (true) {
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(blanks)));
    if (line.empty()) {
      return words;
    }
    words.push_back(line.substr(0, line.find_first_of(blanks)));
    line.remove_prefix(words.back().size());
  }
}

Error at_line(const std::string& file, std::size_t number, const Error& error) {
  return Error(error.code(), fmt::format("{}:{}: {}", printable(file), number, error.message()))
      .with_hint(error.hint());
}

}  // namespace fnimage::server
