// Where credentials come from: explicit ones, then docker's config.json ($DOCKER_CONFIG or
// ~/.docker), keyed by exact host:port (A9). Credential helpers and auth.json have their place
// behind the same interface. Thread-safety: const methods may be called from several threads.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

namespace fnimage::registry {

struct Credentials {
  std::string username{};
  std::string password{};
  std::string identity_token{};  ///< OAuth2 refresh token; used instead of the password when set
};

class CredentialStore {
 public:
  virtual ~CredentialStore() = default;
  /// Credentials for exactly this registry ("host[:port]"); nullopt = anonymous. Error:
  /// invalid_input for a broken file.
  [[nodiscard]] virtual Result<std::optional<Credentials>> find(
      std::string_view registry) const = 0;
};

/// Reads a docker config.json; a missing file means no credentials.
Result<std::unique_ptr<CredentialStore>> docker_config_credentials(
    const std::filesystem::path& file);
/// The user's default: $DOCKER_CONFIG/config.json or ~/.docker/config.json.
Result<std::unique_ptr<CredentialStore>> default_credentials();
/// The same credentials for one registry only.
std::unique_ptr<CredentialStore> fixed_credentials(std::string registry, Credentials credentials);

}  // namespace fnimage::registry
