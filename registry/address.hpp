// Which part of the world an IP address belongs to: decides where a registry may point its clients
// to (reliability A3). Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <fnimage/registry/transport.hpp>

struct sockaddr;

namespace fnimage::registry {

enum class AddressKind : std::uint8_t { global, site, loopback, link_local };

/// Of a numeric IPv4 or IPv6 address, with or without brackets; nullopt for anything else, names
/// too. "site" is everything that is not routed in the Internet (RFC 1918, 4193, 6598).
std::optional<AddressKind> address_kind(std::string_view address);
/// Of a socket address; unknown families count as loopback.
AddressKind address_kind(const sockaddr& address);

bool allows(const PeerRule& rule, AddressKind kind);

/// Where a server of this kind may send its clients without being asked twice: a public one to
/// public addresses, one of the site to the site; to loopback and link-local only from there.
PeerRule peers_of(AddressKind kind);

}  // namespace fnimage::registry
