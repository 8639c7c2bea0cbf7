// Options that several commands have. Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>

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
};

/// --json, --quiet, --progress, --debug.
void add_common_options(CLI::App& command, CommonOptions& options);
/// --plain-http, --insecure, --tls-verify, --ca-file, --cert-file, --key-file.
void add_registry_options(CLI::App& command, RegistryOptions& options);

ProgressMode progress_mode(const CommonOptions& options) noexcept;
/// Error: invalid_argument for a client certificate without key or the other way round.
Result<registry::ClientOptions> client_options(const RegistryOptions& options);

}  // namespace fnimage::cli
