// What works at a registry, found out by trying: how it is reached, who it lets in, which requests
// of distribution-spec it understands. What is tried in a repository is removed again where the
// registry allows that. Thread-safety: may be called from several threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/error.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>

namespace fnimage::registry {

enum class Verdict : std::uint8_t { ok, no, unknown };
std::string_view to_string(Verdict verdict) noexcept;

struct Finding {
  std::string name;  ///< "blob upload"
  Verdict verdict = Verdict::unknown;
  std::string detail{};  ///< printable
  std::string advice{};  ///< what to set; empty = nothing
};

struct Diagnosis {
  std::vector<Finding> findings{};
  /// Why images cannot be published there; nullopt = they can. Its code is that of the first
  /// failure.
  std::optional<Error> problem{};
};

struct Examination {
  std::string registry{};    ///< "host[:port]"
  std::string repository{};  ///< where to try; empty = nothing is written
};

/// Never fails as a whole: what does not work is a finding.
Diagnosis examine(const Examination& examination, const std::shared_ptr<Transport>& transport,
                  const std::shared_ptr<const CredentialStore>& credentials,
                  const ClientOptions& options, Diagnostics& diagnostics);

}  // namespace fnimage::registry
