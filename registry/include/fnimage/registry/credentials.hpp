// Where credentials come from. In this order, the first that has some for a registry wins: what the
// caller gives itself; $DOCKER_AUTH_CONFIG, which is the text of a config.json;
// $REGISTRY_AUTH_FILE alone of all files when it is set; docker's config.json
// ($DOCKER_CONFIG or ~/.docker); containers' auth.json ($XDG_RUNTIME_DIR/containers, then
// $XDG_CONFIG_HOME/containers or ~/.config/containers). Within a file: credHelpers, auths (the most
// specific of host:port/namespace/repository, host:port/namespace and host:port), credsStore. Keys
// are compared exactly (A9). Thread-safety: const methods may be called from several threads;
// changes of a file are made under a lock.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::registry {

struct Credentials {
  std::string username{};
  std::string password{};
  std::string identity_token{};  ///< OAuth2 refresh token; used instead of the password when set
  std::string registry_token{};  ///< bearer token for the registry itself; used before all others
  std::string source{};          ///< where they were found, for people; never a secret
};

class CredentialStore {
 public:
  virtual ~CredentialStore() = default;
  /// Credentials for exactly this registry ("host[:port]"), those of a repository ("team/action";
  /// may be empty) before those of the whole registry; nullopt = anonymous. May run a credential
  /// helper. Errors: invalid_input for a broken file, those of the helper.
  [[nodiscard]] virtual Result<std::optional<Credentials>> find(
      std::string_view registry, std::string_view repository) const = 0;
  /// The same for no repository in particular.
  [[nodiscard]] Result<std::optional<Credentials>> find(std::string_view registry) const;
};

/// Reads a docker config.json or containers auth.json; a missing file means no credentials.
Result<std::unique_ptr<CredentialStore>> docker_config_credentials(
    const std::filesystem::path& file);
/// The user's default, in the order above.
Result<std::unique_ptr<CredentialStore>> default_credentials();
/// The same credentials for one registry only.
std::unique_ptr<CredentialStore> fixed_credentials(std::string registry, Credentials credentials);
/// Asks each in turn.
std::unique_ptr<CredentialStore> chained_credentials(
    std::vector<std::unique_ptr<CredentialStore>> stores);

/// The files that default_credentials() reads, in order; the first is where logging in writes.
std::vector<std::filesystem::path> credential_files();

/// Keeps credentials for a registry: with the helper that the file names, or in the file itself,
/// which is replaced in one step, readable by its owner only, everything else in it unchanged.
/// Returns where they are now, for people.
Result<std::string> save_credentials(const std::filesystem::path& file, const std::string& registry,
                                     const Credentials& credentials);
/// False when there were none.
Result<bool> remove_credentials(const std::filesystem::path& file, const std::string& registry);
/// Removes those of all registries and names them.
Result<std::vector<std::string>> remove_all_credentials(const std::filesystem::path& file);

}  // namespace fnimage::registry
