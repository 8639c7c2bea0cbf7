// Options that several commands have. Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>

namespace CLI {
class App;
}

namespace fnimage::cli {

enum class ProgressMode : std::uint8_t { automatic, tty, plain, none };

struct CommonOptions {
  bool json = false;
  bool quiet = false;
  bool debug = false;
  std::string progress = "auto";
};

/// What flags say about how registries are reached; absent = nothing.
struct ProtocolFlags {
  std::optional<bool> plain_http;
  std::optional<bool> insecure;
  std::optional<bool> tls_verify;
};

/// One side of a copy: flags that go before those for both.
struct SideOptions {
  ProtocolFlags protocol;
  std::string creds;
  std::string registry;  ///< not an option: the one that this side names; may be empty
};

/// Flags are for the registries that the command names, but for --ca-file and --ca-dir.
struct RegistryOptions {
  ProtocolFlags protocol;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::size_t connections = 8;
  bool connections_given = false;
  std::uint64_t limit_rate = 0;      ///< bytes per second; 0 = none
  unsigned requests_per_second = 0;  ///< 0 = no limit
  int retries = -1;                  ///< tries after the first; -1 = the library's default
  std::uint64_t retry_for = 0;       ///< seconds; 0 = only the tries count
  std::string ca_dir;
  std::string creds;
  std::string username;
  bool password_stdin = false;
  bool identity_token_stdin = false;
  bool registry_token_stdin = false;
  std::string authfile;
  std::vector<std::string> auth_realms;
  SideOptions source;
  SideOptions destination;
  /// Not an option: the registries that the command's arguments name.
  std::vector<std::string> registries;
};

/// --json, --quiet, --progress, --debug.
void add_common_options(CLI::App& command, CommonOptions& options);
/// --plain-http, --insecure, --tls-verify, --ca-file, --ca-dir, --cert-file, --key-file, --creds,
/// --username, --password-stdin, --identity-token-stdin, --registry-token-stdin, --authfile,
/// --auth-realm, --connections, --limit-rate, --requests-per-second,
/// --retries, --retry-for.
void add_registry_options(CLI::App& command, RegistryOptions& options);

/// --src-plain-http, --src-insecure, --src-tls-verify, --src-creds, and the same with --dest.
void add_side_options(CLI::App& command, RegistryOptions& options);

/// --authfile alone.
void add_authfile_option(CLI::App& command, RegistryOptions& options);

ProgressMode progress_mode(const CommonOptions& options) noexcept;
/// The options of the command over those of the host configuration file. Flags hold for the
/// registries that the command names; for all when it names none, as those of a build file are.
/// Errors: invalid_argument for a client certificate without key or the other way round, and for
/// a broken host configuration file.
Result<registry::ClientOptions> client_options(const RegistryOptions& options);

}  // namespace fnimage::cli
