// Authentication at one registry: what its challenges ask for, and the tokens that were given
// (distribution "Token Authentication Specification"; reliability A1-A4, F21-F23). Where
// credentials may go: to the registry's own origin, and to the token server (realm) that it names
// when allow_realm() agrees. Tokens go to the registry's origin only. Thread-safety: all methods
// may be called from several threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/registry/credentials.hpp>
#include <fnimage/registry/transport.hpp>

#include "address.hpp"
#include "challenge.hpp"
#include "url.hpp"

namespace fnimage::registry {

/// "repository:team/action:pull,push", one per element.
using Scopes = std::vector<std::string>;

struct Token {
  std::string value;
  std::chrono::steady_clock::time_point refresh_at;
};

/// The answer of a token server. Lifetime is counted from `asked_at`; tokens are renewed after 80 %
/// of it.
Result<Token> parse_token(std::string_view body, std::chrono::steady_clock::time_point asked_at);

/// What decides where a token server may be.
struct RealmPolicy {
  std::vector<std::string> named{};            ///< host or host:port that the user named
  AddressKind registry = AddressKind::global;  ///< where the registry answered
  bool credentials = true;                     ///< whether any would be sent
  bool http = false;                           ///< the user accepts http, as with --insecure
};

/// Whether a token may be asked for at this realm, and at which addresses (A3, A4). By http only
/// when the registry itself is reached by http, or may be. Credentials go to the registry's host,
/// to hosts of its domain, to hosts the user named, and from a registry of the site to hosts of the
/// site. Error: unauthorized that names both.
Result<PeerRule> allow_realm(const Url& registry, const Url& realm, const RealmPolicy& policy);

/// The TLS settings for a URL that a registry points to: all of the registry's own for its origin;
/// for its host, without the client certificate; elsewhere with verification on and without it.
TlsOptions tls_towards(const Url& registry, const TlsOptions& tls, const Url& target);

/// How a token server is reached.
struct RealmSettings {
  TlsOptions tls{};
  bool http = false;  ///< as RealmPolicy::http
};

/// What an Authenticator works with. All functions may be called from several threads at once.
struct AuthSettings {
  std::vector<std::string> realms{};  ///< as RealmPolicy::named
  /// How token requests are sent (with retries).
  std::function<Result<HttpResponse>(const HttpRequest&)> send{};
  /// What is set for a token server of its own, from what its registry's settings make of it;
  /// absent = just these.
  std::function<Result<RealmSettings>(const Url& realm, const TlsOptions& tls)> realm_settings{};
  std::function<std::chrono::steady_clock::time_point()> clock = std::chrono::steady_clock::now;
};

class Authenticator {
 public:
  Authenticator(std::string registry, std::shared_ptr<const CredentialStore> credentials,
                AuthSettings settings)
      : registry_(std::move(registry)),
        credentials_(std::move(credentials)),
        settings_(std::move(settings)) {}

  /// The Authorization value for a request with these scopes; nullopt when none is known to be
  /// needed. Asks the token server when the challenge of the registry is known and there is no
  /// fresh token with these rights, or more; requests that need the same one wait for it together.
  Result<std::optional<std::string>> authorization(const Url& registry, const TlsOptions& tls,
                                                   const Scopes& scopes);

  /// Takes the challenge of a 401 answer to a request that carried `used`. True: worth sending
  /// again; the scopes may have grown by what the challenge names.
  Result<bool> challenged(const HttpResponse& response, const std::optional<std::string>& used,
                          Scopes& scopes);

  /// Whether the registry has ever said how it wants to be authenticated.
  bool knows_challenge();

  Result<bool> has_credentials(const Scopes& scopes);

  /// "the credentials of ann from FILE", those for these scopes; empty when there are none.
  std::string whose(const Scopes& scopes);

 private:
  /// Single rights: "repository:team/action:pull".
  using Rights = std::set<std::string>;
  struct Granted {
    Rights rights;
    Token token;
  };
  struct Fetch {
    Rights rights;
    std::optional<Result<Token>> result{};
  };
  /// The tokens for one token server and service that one repository's credentials get.
  struct Tokens {
    std::vector<Granted> granted{};
    std::vector<std::shared_ptr<Fetch>> fetches{};  ///< under way
  };
  /// All that a token request depends on.
  struct Question {
    const Url& registry;
    const TlsOptions& tls;
    const Scopes& scopes;
    Challenge challenge{};
    AddressKind address = AddressKind::global;
    std::optional<Credentials> given{};
  };

  static Rights rights_of(const Scopes& scopes);
  /// Of the repository that the scopes begin with; asked once, since a helper may be behind it.
  Result<std::optional<Credentials>> credentials(const Scopes& scopes);
  [[nodiscard]] Result<HttpRequest> token_request(const Question& question, ContentPtr& body) const;
  Result<Token> bearer(const Question& question);
  [[nodiscard]] Result<Token> fetch(const Question& question) const;
  static void keep(Tokens& tokens, const Rights& rights, const Token& token);

  std::string registry_;
  std::shared_ptr<const CredentialStore> credentials_;
  AuthSettings settings_;
  std::mutex asking_;  // held while credentials are looked for
  std::map<std::string, std::optional<Credentials>> known_;  // by repository; guarded by asking_
  std::mutex mutex_;                                         // guards the rest
  std::condition_variable fetched_;
  std::optional<Challenge> challenge_;
  AddressKind address_ = AddressKind::global;  // of the registry, when it answered
  std::map<std::string, Tokens> tokens_;       // by realm, service and repository
};

}  // namespace fnimage::registry
