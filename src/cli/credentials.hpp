// Credentials that a command line or its environment brings: --creds, --username with
// --password-stdin, --identity-token-stdin, --registry-token-stdin, FNIMAGE_USERNAME and
// FNIMAGE_PASSWORD, FNIMAGE_IDENTITY_TOKEN, FNIMAGE_TOKEN. They are for one registry, which is
// known before anything is sent: the one the command names, or FNIMAGE_REGISTRY. Thread-safety:
// belongs to one thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/credentials.hpp>

#include "options.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

/// The registries that the arguments of this command name, each once.
std::vector<std::string> named_registries(const CLI::App& command);

/// The registry that one argument of a command names ("SRC"); empty when it names none.
std::string registry_of_argument(const CLI::App& command, const std::string& argument);

/// --creds or --username/--password-stdin or a token from standard input; asks for a missing
/// password on the terminal. Nullopt when there are none. Error: invalid_argument for a
/// contradiction or a password that nobody can be asked for.
Result<std::optional<registry::Credentials>> given_credentials(const RegistryOptions& options);

/// What the command uses: given ones, those of the environment, --authfile, what the host
/// configuration names, then files and helpers. Errors: invalid_argument when credentials were
/// given and it is not clear for which registry.
Result<std::unique_ptr<registry::CredentialStore>> command_credentials(
    const RegistryOptions& options, const std::map<std::string, registry::HostOptions>& hosts);

}  // namespace fnimage::cli
