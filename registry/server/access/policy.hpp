// What the files say at a moment: who there is, and what each may do. Thread-safety: a value that
// is not changed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "access/htpasswd.hpp"
#include "access/machine_tokens.hpp"
#include "access/rules.hpp"

namespace fnimage::server {

struct Subject {
  enum class Kind : std::uint8_t { anonymous, user, token };
  Kind kind = Kind::anonymous;
  std::string name{};

  /// "anonymous", "user:ann", "token:ci"
  [[nodiscard]] std::string str() const;
  static std::optional<Subject> parse(std::string_view text);
  friend bool operator==(const Subject&, const Subject&) = default;
};

struct Policy {
  std::shared_ptr<const Htpasswd> users{};  ///< null = there are none
  std::shared_ptr<const MachineTokens> tokens{};
  std::shared_ptr<const AccessRules> rules{};  ///< null = users may do everything
  bool anonymous_pull = false;

  /// What a subject logs in with, as the files have it; nullopt = there is no such subject, or not
  /// any more.
  [[nodiscard]] std::optional<std::string> credential_of(const Subject& subject,
                                                         std::int64_t now) const;
  /// Of a subject that there is.
  [[nodiscard]] Rights rights_of(const Subject& subject, std::string_view repository,
                                 std::int64_t now) const;
  /// Whether that may be done in any repository, whatever there are.
  [[nodiscard]] bool may_anywhere(const Subject& subject, Right right, std::int64_t now) const;
  /// Whether who has not logged in may do anything anywhere.
  [[nodiscard]] bool has_anonymous() const;
  [[nodiscard]] bool anonymous_pulls_all() const;
};

}  // namespace fnimage::server
