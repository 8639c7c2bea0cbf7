// Options that several commands have. Thread-safety: plain values.
#pragma once

#include <cstdint>
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

struct RegistryOptions {
  bool plain_http = false;
  bool insecure = false;
  bool tls_verify = true;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::size_t connections = 8;
  std::uint64_t limit_rate = 0;      ///< bytes per second; 0 = none
  unsigned requests_per_second = 0;  ///< 0 = no limit
  int retries = -1;                  ///< tries after the first; -1 = the library's default
  std::uint64_t retry_for = 0;       ///< seconds; 0 = only the tries count
  std::string ca_dir;
  std::string creds;
  std::string username;
  bool password_stdin = false;
  std::string authfile;
  std::vector<std::string> auth_realms;
  /// Not an option: the registries that the command's arguments name.
  std::vector<std::string> registries;
};

/// --json, --quiet, --progress, --debug.
void add_common_options(CLI::App& command, CommonOptions& options);
/// --plain-http, --insecure, --tls-verify, --ca-file, --ca-dir, --cert-file, --key-file, --creds,
/// --username, --password-stdin, --authfile, --auth-realm,
/// --connections, --limit-rate, --requests-per-second, --retries, --retry-for.
void add_registry_options(CLI::App& command, RegistryOptions& options);

/// --authfile alone.
void add_authfile_option(CLI::App& command, RegistryOptions& options);

ProgressMode progress_mode(const CommonOptions& options) noexcept;
/// Errors: invalid_argument for a client certificate without key or the other way round, and for
/// a broken host configuration file.
Result<registry::ClientOptions> client_options(const RegistryOptions& options);

}  // namespace fnimage::cli
