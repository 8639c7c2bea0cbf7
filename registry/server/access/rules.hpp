// Which rights users have in which repositories: "USER PATTERN RIGHTS" lines. Thread-safety: a
// value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

#include "access/rights.hpp"

namespace fnimage::server {

struct Rule {
  std::string user;  ///< "*" = whoever has logged in, "anonymous" = whoever has not
  std::string pattern;
  Rights rights;
};

class AccessRules {
 public:
  /// @param file its name for messages. Error: invalid_input, with the line.
  static Result<AccessRules> parse(std::string_view text, const std::string& file);

  void add(Rule rule) { rules_.push_back(std::move(rule)); }
  /// What the rules of this very user, "*" or "anonymous" say.
  [[nodiscard]] Rights rights_of(std::string_view user, std::string_view repository) const;
  /// Whether a rule of this very user says that of all repositories.
  [[nodiscard]] bool covers_all(std::string_view user, Right right) const;
  /// Whether a rule of this very user says that of any.
  [[nodiscard]] bool grants(std::string_view user, Right right) const;
  [[nodiscard]] bool knows(std::string_view user) const;

 private:
  std::vector<Rule> rules_{};
};

}  // namespace fnimage::server
