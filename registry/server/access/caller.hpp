// Who sends a request, and what may be done for them while it is answered. Thread-safety: const
// methods from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "access/policy.hpp"
#include "access/scopes.hpp"

namespace fnimage::server {

struct Caller {
  std::shared_ptr<const Policy> policy;
  Subject subject{};
  /// What the token is good for that was sent; nullopt: for all that the subject may.
  std::optional<Scopes> scopes{};
  std::int64_t now = 0;          ///< seconds since 1970
  bool has_credentials = false;  ///< any that are good, an anonymous token too

  /// What the subject may, whatever the token says.
  [[nodiscard]] Rights rights_in(std::string_view repository) const {
    return policy->rights_of(subject, repository, now);
  }
  [[nodiscard]] bool may(Right right, std::string_view repository) const {
    return rights_in(repository).has(right) &&
           (!scopes || scopes->rights_in(repository).has(right));
  }
  /// Whether the list of repositories may be asked for; it has those that may be pulled. Who sends
  /// nothing is asked to log in, unless there is nothing more to see then.
  [[nodiscard]] bool may_list() const {
    return scopes ? scopes->has_catalog() : has_credentials || policy->anonymous_pulls_all();
  }
  [[nodiscard]] bool is_anonymous() const { return subject.kind == Subject::Kind::anonymous; }
};

}  // namespace fnimage::server
