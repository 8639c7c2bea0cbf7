// What kind of endpoint a request is for, as metrics tell requests apart: few kinds, whatever
// repositories there are. Thread-safety: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace fnimage::server {

enum class EndpointKind : std::uint8_t {
  base,
  catalog,
  tags,
  manifest,
  blob,
  uploads,
  upload,
  referrers,
  token,
  health,
  metrics,
  other
};
inline constexpr std::size_t endpoint_kinds = 12;
/// By kind.
inline constexpr std::array<std::string_view, endpoint_kinds> endpoint_kind_names{
    "base",   "catalog",   "tags",  "manifest", "blob",    "uploads",
    "upload", "referrers", "token", "health",   "metrics", "other"};

inline constexpr std::string_view live_path = "/healthz";
inline constexpr std::string_view ready_path = "/readyz";
inline constexpr std::string_view metrics_path = "/metrics";

/// As parse_target() would say, without taking the path apart. Of paths with escaped words: other.
EndpointKind endpoint_kind(std::string_view path) noexcept;

}  // namespace fnimage::server
