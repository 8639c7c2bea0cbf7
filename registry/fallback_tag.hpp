// The referrers tag schema (distribution-spec "Referrers Tag Schema", C26): where manifests that
// refer to a digest are listed when a store has no referrers API. Thread-safety: a pure function.
#pragma once

#include <string>

#include <fnimage/manifest/digest.hpp>

namespace fnimage::registry {

/// "sha256-<hex>", cut to the 32 and 64 characters that the schema allows for algorithm and hex.
inline std::string referrers_tag(const manifest::Digest& digest) {
  return std::string(digest.algorithm().substr(0, 32)) + "-" +
         std::string(digest.hex().substr(0, 64));
}

}  // namespace fnimage::registry
