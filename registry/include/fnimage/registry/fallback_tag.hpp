// The referrers tag schema (distribution-spec "Referrers Tag Schema", C26): where manifests that
// refer to a digest are listed when a store has no referrers API. Thread-safety: a pure function.
#pragma once

#include <string>
#include <string_view>

#include <fnimage/manifest/digest.hpp>

namespace fnimage::registry {

/// "sha256-<hex>", cut to the 32 and 64 characters that the schema allows for algorithm and hex.
inline std::string referrers_tag(const manifest::Digest& digest) {
  return std::string(digest.algorithm().substr(0, 32)) + "-" +
         std::string(digest.hex().substr(0, 64));
}

/// Whether a tag looks like one of those, or like what cosign puts beside an image: the same with
/// ".sig", ".att" or ".sbom".
inline bool is_referrers_tag(std::string_view tag) {
  constexpr std::size_t prefix = 7;  // both algorithms
  constexpr std::size_t hex_characters = 64;
  const std::string_view hex = tag.substr(0, prefix + hex_characters);
  return (tag.starts_with("sha256-") || tag.starts_with("sha512-")) &&
         hex.size() == prefix + hex_characters &&
         hex.find_first_not_of("0123456789abcdef", prefix) == std::string_view::npos &&
         (tag.size() == hex.size() || tag[hex.size()] == '.');
}

}  // namespace fnimage::registry
