// WWW-Authenticate: the challenges of a 401 answer (RFC 9110 section 11.6.1). A strict small
// parser: what does not parse is no challenge. Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fnimage::registry {

struct Challenge {
  std::string scheme{};                                              ///< lower case
  std::vector<std::pair<std::string, std::string>> parameters{};     ///< names in lower case
  [[nodiscard]] std::string parameter(std::string_view name) const;  ///< empty = absent
};

/// All challenges of one header value, in order; stops at the first that is malformed. At most 16.
std::vector<Challenge> parse_challenges(std::string_view value);

}  // namespace fnimage::registry
