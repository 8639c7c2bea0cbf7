// Authentication and authorization in front of the API: who sends a request (Basic, or a token),
// and whether it may be answered. Rights are those of the files at that moment (reliability A21).
// Thread-safety: from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <fnimage/base/result.hpp>
#include <fnimage/server/access.hpp>

#include "access/bearer.hpp"
#include "access/caller.hpp"
#include "access/password_check.hpp"
#include "access/policy_files.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

/// How long the tokens are good for that are given to who logs in. Rights are looked up whenever
/// they are used: it is for how long one that was stolen is of use.
inline constexpr std::chrono::seconds bearer_lifetime{300};

class Gate {
 public:
  /// Errors: invalid_argument (nobody could log in; external_url), invalid_input (a file, with its
  /// line), those of the file system.
  static Result<std::unique_ptr<Gate>> open(
      const AccessOptions& options, std::chrono::milliseconds pause = std::chrono::seconds(1),
      const PasswordLimits& limits = {});

  /// Whether enter() and answer_token() neither wait nor take long.
  [[nodiscard]] static bool is_quick(const Request& request);

  using Entry = std::variant<std::shared_ptr<const Caller>, Response>;
  /// Who sends a request, if it may be answered; else the answer. What a name of a repository is
  /// there for is not told to who may not pull it.
  Entry enter(const Request& request, const Target& target);

  /// Whether a request may see what is told of the whole server (its numbers): that needs a login
  /// of somebody who may pull something. Nullopt = yes, else the answer.
  std::optional<Response> refuse_overview(const Request& request);
  /// Who sends a request for a page, else the answer: a browser is asked for name and password.
  /// What of the page may be seen is the caller's to judge.
  Entry enter_page(const Request& request);

  /// The token server (GET with Basic; POST with a password grant, OAuth 2).
  Answer answer_token(const Request& request);

  /// Reads the files again if they have changed, so that what is wrong with them is told.
  void refresh() { (void)files_->current(); }

 private:
  class GrantReceiver;
  using Identified = std::variant<Caller, Response>;

  Gate(std::unique_ptr<PolicyFiles> files, TokenKey key, std::string external_url,
       const PasswordLimits& limits)
      : files_(std::move(files)),
        key_(std::move(key)),
        external_url_(std::move(external_url)),
        passwords_(limits) {}

  /// @param challenge what WWW-Authenticate says in a refusal, made of an error's name.
  using Challenge = std::function<std::string(std::string_view error)>;
  /// Notes in the request who it is, too.
  Identified identify(const Request& request, const Challenge& challenge);
  Identified identify_unnoted(const Request& request, const Challenge& challenge);
  Identified identify_password(Caller caller, const std::string& user, const std::string& password,
                               const Request& request, const Challenge& challenge);
  [[nodiscard]] std::optional<Caller> identify_bearer(Caller caller, std::string_view token) const;
  [[nodiscard]] Caller nobody();
  [[nodiscard]] Response grant(const Caller& caller, std::string_view scopes) const;

  std::unique_ptr<PolicyFiles> files_;
  TokenKey key_;
  std::string external_url_;
  PasswordCheck passwords_;
};

}  // namespace fnimage::server
