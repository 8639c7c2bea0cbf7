// The registry client: distribution-spec 1.1 over a Transport. A Client is one run's view of all
// registries: it remembers per registry the protocol that answered, the challenge and the tokens,
// and is shared by all repositories, images and threads. Thread-safety: Client and the stores it
// opens may be used from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/clock.hpp>
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
  /// No try begins later than so long after the first failure, or after the last progress of a
  /// large body; 0 = only the tries count.
  std::chrono::milliseconds retry_for{0};
};

/// Where the credentials of one registry are kept; one of the three forms, or none.
struct CredentialSource {
  std::string username{};                 ///< with password_file
  std::filesystem::path password_file{};  ///< line ends at its end do not belong to the password
  std::filesystem::path authfile{};       ///< a docker config.json or containers auth.json
  std::string helper{};                   ///< NAME of docker-credential-NAME
  friend bool operator==(const CredentialSource&, const CredentialSource&) = default;
};

/// How one registry is reached, where nothing else was asked for. See host_config.hpp.
struct HostOptions {
  std::optional<bool> plain_http{};
  std::optional<bool> insecure{};
  std::optional<bool> tls_verify{};
  std::filesystem::path ca_file{};
  std::filesystem::path ca_dir{};
  std::filesystem::path cert_file{};
  std::filesystem::path key_file{};
  std::vector<std::string> auth_realms{};
  /// "host[:port][/prefix]" of registries that have the same content, the prefix before the
  /// repository. What is asked for by digest is read from them first, and never written to them.
  std::vector<std::string> mirrors{};
  std::optional<std::size_t> connections{};   ///< see HostLimits
  std::optional<std::uint64_t> limit_rate{};  ///< see HostLimits
  std::optional<std::uint64_t> chunk_size{};  ///< see ClientOptions
  CredentialSource credentials{};
};

/// How to reach registries. Nothing is guessed: without options it is https with verification.
struct ClientOptions {
  bool plain_http = false;  ///< http only
  /// What people expect of --insecure: https without verification first, then http when the
  /// registry does not speak TLS or refuses; which one it was is reported once per registry.
  bool insecure = false;
  TlsOptions tls{};
  /// Token servers ("host" or "host:port") that may get credentials although they are of another
  /// domain than the registry that names them, or inside while it is outside.
  std::vector<std::string> auth_realms{};
  RetryOptions retry{};
  std::filesystem::path ca_dir{};  ///< of *.crt and *.pem files that are trusted as well
  std::map<std::string, HostOptions> hosts{};  ///< by exact "host[:port]"
  /// Where container tools keep certificates by registry; none are looked at by default.
  std::vector<std::filesystem::path> certificate_directories{};
  /// Where uploads of large blobs are noted, so that the next process goes on with what this one
  /// could not finish; empty = nowhere. Made with mode 0700 when missing. A journal that cannot be
  /// kept is reported and does no harm.
  std::filesystem::path upload_journal{};
  /// Bytes of one PATCH when a blob is sent in chunks; 0 = only when the registry or what is in
  /// front of it does not take it otherwise.
  std::uint64_t chunk_size = 0;
  unsigned requests_per_second = 0;      ///< to one registry, at most; 0 = no limit
  std::shared_ptr<const Clock> clock{};  ///< for the waiting between requests; null = the system's
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

  /// Names of the repositories that the registry shows to whoever asks (GET /v2/_catalog), sorted.
  /// Names that are none are passed over with a warning. Errors: unsupported for a registry without
  /// a catalog, unauthorized, protocol for pages without end and for more than 200,000 names.
  Result<std::vector<std::string>> repositories(const std::string& registry);

  /// A repository as a store. Does no network. Error: invalid_argument for a reference without
  /// registry.
  Result<std::unique_ptr<ImageStore>> repository(const manifest::Reference& reference);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace fnimage::registry
