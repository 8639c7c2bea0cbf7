// The registry client: distribution-spec 1.1 over a Transport. A Client is one run's view of all
// registries: it remembers per registry the protocol that answered, the challenge and the tokens,
// and is shared by all repositories, images and threads. Thread-safety: Client and the stores it
// opens may be used from several threads.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/credentials.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

/// When requests are sent again after refused connections, lost answers, 408, 429 and 5xx. Bodies
/// too: Content can be re-read.
struct RetryOptions {
  int attempts = 5;                            ///< tries of one request, the first included
  std::chrono::milliseconds first_delay{200};  ///< doubles with every failure, jittered
  std::chrono::milliseconds max_delay{30'000};
  std::chrono::seconds max_wait{120};  ///< a Retry-After that asks for more is an error at once
};

/// How to reach registries. Nothing is guessed: without options it is https with verification.
struct ClientOptions {
  bool plain_http = false;  ///< http only
  /// What people expect of --insecure: https without verification first, then http when the
  /// registry does not speak TLS or refuses; which one it was is reported once per registry.
  bool insecure = false;
  TlsOptions tls{};
  RetryOptions retry{};
};

class Client {
 public:
  /// None of the arguments is owned except by shared pointer; `diagnostics` must outlive the
  /// client.
  Client(std::shared_ptr<Transport> transport, std::shared_ptr<const CredentialStore> credentials,
         ClientOptions options, Diagnostics& diagnostics);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// GET /v2/ with authentication: finds the protocol and whether the credentials are accepted.
  /// Errors: unavailable, tls, unauthorized, protocol; each with a hint that names the option to
  /// use (an http registry asked by https says so).
  Result<void> ping(const std::string& registry);

  /// A repository as a store. Does no network. Error: invalid_argument for a reference without
  /// registry.
  Result<std::unique_ptr<ImageStore>> repository(const manifest::Reference& reference);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fnimage::registry
