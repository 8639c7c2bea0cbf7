#include "access/rules.hpp"

#include <algorithm>

#include "access/lines.hpp"

namespace fnimage::server {

namespace {

Result<Rule> read_rule(std::string_view line) {
  constexpr std::size_t words_of_rule = 3;
  const auto words = words_of(line);
  if (words.size() != words_of_rule) {
    return fail(ErrorCode::invalid_input, "a rule has three words: USER PATTERN RIGHTS",
                "e.g.: ann team/* pull,push");
  }
  FNIMAGE_CHECK(check_pattern(words[1]));
  FNIMAGE_TRY(const Rights rights, parse_rights(words[2]));
  return Rule{.user = std::string(words[0]), .pattern = std::string(words[1]), .rights = rights};
}

}  // namespace

Result<AccessRules> AccessRules::parse(std::string_view text, const std::string& file) {
  AccessRules rules;
  for (const Line& line : lines_of(text)) {
    auto rule = read_rule(line.text);
    if (!rule) {
      return fail(at_line(file, line.number, rule.error()));
    }
    rules.add(std::move(*rule));
  }
  return rules;
}

Rights AccessRules::rights_of(std::string_view user, std::string_view repository) const {
  Rights rights;
  for (const Rule& rule : rules_) {
    if (rule.user == user && matches(rule.pattern, repository)) {
      rights |= rule.rights;
    }
  }
  return rights;
}

bool AccessRules::covers_all(std::string_view user, Right right) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) {
    return rule.user == user && rule.pattern == "*" && rule.rights.has(right);
  });
}

bool AccessRules::grants(std::string_view user, Right right) const {
  return std::ranges::any_of(
      rules_, [&](const Rule& rule) { return rule.user == user && rule.rights.has(right); });
}

bool AccessRules::knows(std::string_view user) const {
  return std::ranges::any_of(rules_, [&](const Rule& rule) { return rule.user == user; });
}

}  // namespace fnimage::server
