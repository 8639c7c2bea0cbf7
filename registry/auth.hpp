// Authentication at one registry: what its challenges ask for, and the tokens that were given
// (distribution "Token Authentication Specification"; reliability A1-A4, F21-F23). Where
// credentials may go: to the registry's own origin, and to the token server (realm) that it names
// when allow_realm() agrees. Tokens go to the registry's origin only. Thread-safety: all methods
// may be called from several threads.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
};

/// Whether a token may be asked for at this realm, and at which addresses (A3, A4). By http only
/// when the registry itself is reached by http. Credentials go to the registry's host, to hosts of
/// its domain, to hosts the user named, and from a registry of the site to hosts of the site.
/// Error: unauthorized that names both.
Result<PeerRule> allow_realm(const Url& registry, const Url& realm, const RealmPolicy& policy);

/// The TLS settings for a URL that a registry points to: all of the registry's own for its origin;
/// for its host, without the client certificate; elsewhere with verification on and without it.
TlsOptions tls_towards(const Url& registry, const TlsOptions& tls, const Url& target);

class Authenticator {
 public:
  /// How token requests are sent (with retries).
  using Send = std::function<Result<HttpResponse>(const HttpRequest&)>;

  /// @param realms hosts of token servers that the user named.
  Authenticator(std::string registry, std::shared_ptr<const CredentialStore> credentials,
                std::vector<std::string> realms, Send send)
      : registry_(std::move(registry)),
        credentials_(std::move(credentials)),
        realms_(std::move(realms)),
        send_(std::move(send)) {}

  /// The Authorization value for a request with these scopes; nullopt when none is known to be
  /// needed. Asks the token server when the challenge of the registry is known and no fresh token
  /// is at hand.
  Result<std::optional<std::string>> authorization(const Url& registry, const TlsOptions& tls,
                                                   const Scopes& scopes);

  /// Takes the challenge of a 401 answer to a request that carried `used`. True: worth sending
  /// again; the scopes may have grown by what the challenge names.
  Result<bool> challenged(const HttpResponse& response, const std::optional<std::string>& used,
                          Scopes& scopes);

 private:
  /// Of the repository that the scopes begin with; asked once, since a helper may be behind it.
  Result<std::optional<Credentials>> credentials(const Scopes& scopes);
  Result<HttpRequest> token_request(const Url& registry, const TlsOptions& tls,
                                    const Scopes& scopes, const std::optional<Credentials>& known,
                                    ContentPtr& body);
  Result<std::string> bearer(const Url& registry, const TlsOptions& tls, const Scopes& scopes);
  Result<Token> fetch(const Url& registry, const TlsOptions& tls, const Scopes& scopes);

  std::string registry_;
  std::shared_ptr<const CredentialStore> credentials_;
  std::vector<std::string> realms_;
  Send send_;
  std::mutex mutex_;  // held while a token is fetched: requests that need the same one wait for it
  std::optional<Challenge> challenge_;
  AddressKind address_ = AddressKind::global;                // of the registry, when it answered
  std::map<std::string, Token> tokens_;                      // by realm, service and scopes
  std::map<std::string, std::optional<Credentials>> known_;  // by repository
};

}  // namespace fnimage::registry
