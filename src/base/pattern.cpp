// See pattern.hpp.
#include <cstddef>

#include <fnimage/base/pattern.hpp>

namespace fnimage {

bool matches_pattern(std::string_view pattern, std::string_view text) noexcept {
  // When a letter differs, the last '*' takes one more: that one alone need be tried again.
  std::size_t at = 0;
  std::size_t star = std::string_view::npos;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = i;
    } else if (at < pattern.size() && pattern[at] == text[i]) {
      ++at;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace fnimage
