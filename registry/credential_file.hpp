// The files that docker and its relatives keep registry credentials in: docker's config.json and
// containers' auth.json, which are the same JSON but for which keys are used. A9: a key is a
// registry's exact host:port, or that with a repository or the beginning of one. Thread-safety:
// pure functions and value types; edits are made under a lock beside the file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/registry/credentials.hpp>

namespace fnimage::registry {

struct CredentialFile {
  std::filesystem::path path{};
  std::map<std::string, Credentials, std::less<>> exact{};   ///< by "host:port[/repository]"
  std::map<std::string, Credentials, std::less<>> legacy{};  ///< by host, of URL keys
  std::map<std::string, std::string, std::less<>> helpers{};
  std::string store{};  ///< the helper for all other registries; may be empty
};

/// A missing file is an empty one. Error: invalid_input that names the file.
Result<CredentialFile> read_credential_file(const std::filesystem::path& path);

/// The text of one. @param path stands for it in messages.
Result<CredentialFile> parse_credential_file(std::string_view text,
                                             const std::filesystem::path& path);

/// The names that a registry's entries may have: its own first.
std::vector<std::string> names_of(std::string_view registry);

/// The host of a key with scheme or version path ("https://host/v1/"); empty when it is not one.
std::string legacy_host(std::string_view key);

/// The host (and port) that a registry of this name answers at: its name, but for docker.io.
std::string network_name(std::string_view registry);

/// The repository that is meant: official images of docker.io are below library/.
std::string full_repository(std::string_view registry, std::string_view repository);

/// The name that clients keep a registry's credentials under: its own, but for docker.io.
std::string helper_key(std::string_view registry);

}  // namespace fnimage::registry
