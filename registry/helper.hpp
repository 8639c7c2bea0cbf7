// Credential helpers: programs called docker-credential-NAME that keep secrets for docker and its
// relatives, asked by one word of command line, the question on standard input and the answer on
// standard output. Started without a shell; no secret is ever an argument, an environment variable
// or a file on disk. Thread-safety: pure functions but for the helper's own store.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/registry/credentials.hpp>

namespace fnimage::registry {

/// What a helper may take: people may have to type a pass phrase for it.
struct HelperLimits {
  std::chrono::milliseconds time{60'000};
  std::size_t output = std::size_t{256} * 1024;  ///< bytes, of each of its two outputs
};

/// The credentials of `server`; nullopt when the helper has none. Errors: not_found when there is
/// no such program, invalid_input for a bad name or answer, unavailable when it fails or hangs.
Result<std::optional<Credentials>> helper_get(const std::string& name, std::string_view server,
                                              const HelperLimits& limits = {});
/// Errors as helper_get().
Result<void> helper_store(const std::string& name, std::string_view server,
                          const Credentials& credentials, const HelperLimits& limits = {});
/// False when the helper had none. Errors as helper_get().
Result<bool> helper_erase(const std::string& name, std::string_view server,
                          const HelperLimits& limits = {});
/// The servers the helper has credentials for. Errors as helper_get().
Result<std::vector<std::string>> helper_list(const std::string& name,
                                             const HelperLimits& limits = {});

}  // namespace fnimage::registry
