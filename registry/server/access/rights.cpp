#include "access/rights.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <fnimage/base/pattern.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::server {

namespace {

constexpr std::array every_right{Right::pull, Right::push, Right::remove};

}  // namespace

std::string_view to_string(Right right) {
  switch (right) {
    case Right::pull:
      return "pull";
    case Right::push:
      return "push";
    default:
      return "delete";
  }
}

std::string to_string(Rights rights) {
  std::string text;
  for (const Right right : every_right) {
    if (rights.has(right)) {
      text += text.empty() ? "" : ",";
      text += to_string(right);
    }
  }
  return text;
}

Result<Rights> parse_rights(std::string_view text) {
  Rights rights;
  for (const std::string_view word : split(text, ',')) {
    const auto found = std::ranges::find_if(
        every_right, [&](const Right right) { return to_string(right) == word; });
    if (found == every_right.end()) {
      return fail(ErrorCode::invalid_input, fmt::format("\"{}\" is no right", printable(word, 80)),
                  "rights are pull, push and delete, with commas between them: pull,push");
    }
    rights |= {*found};
  }
  return rights;
}

bool matches(std::string_view pattern, std::string_view name) {
  return matches_pattern(pattern, name);
}

Result<void> check_pattern(std::string_view pattern) {
  constexpr std::size_t longest = 255;
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789._-/*";
  if (pattern.empty() || pattern.size() > longest ||
      pattern.find_first_not_of(allowed) != std::string_view::npos) {
    return fail(ErrorCode::invalid_input,
                fmt::format("\"{}\" is no pattern of repositories", printable(pattern, 80)),
                "write a name as repositories have it, without the server's; '*' stands for any "
                "characters: team/*");
  }
  return {};
}

}  // namespace fnimage::server
