// See address.hpp.
#include "address.hpp"

#include <array>
#include <cstring>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace fnimage::registry {

namespace {

AddressKind kind_of_v4(std::uint32_t address) {
  struct Range {
    std::uint32_t network;
    unsigned bits;
    AddressKind kind;
  };
  constexpr std::array<Range, 7> ranges{{{0x7f000000U, 8, AddressKind::loopback},
                                         {0x00000000U, 8, AddressKind::loopback},
                                         {0xa9fe0000U, 16, AddressKind::link_local},
                                         {0x0a000000U, 8, AddressKind::site},
                                         {0xac100000U, 12, AddressKind::site},
                                         {0xc0a80000U, 16, AddressKind::site},
                                         {0x64400000U, 10, AddressKind::site}}};
  for (const Range& range : ranges) {
    if ((address >> (32U - range.bits)) == (range.network >> (32U - range.bits))) {
      return range.kind;
    }
  }
  return AddressKind::global;
}

AddressKind kind_of_v6(const in6_addr& address) {
  const auto& bytes = address.s6_addr;
  const auto v4_at = [&bytes](std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, &bytes[at], sizeof value);
    return kind_of_v4(ntohl(value));
  };
  constexpr std::size_t v4_in_mapped = 12;
  constexpr std::size_t v4_in_6to4 = 2;
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address)) {
    return AddressKind::loopback;
  }
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address)) {
    return v4_at(v4_in_mapped);
  }
  if (bytes[0] == 0x00 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b) {
    return v4_at(v4_in_mapped);  // NAT64
  }
  if (bytes[0] == 0x20 && bytes[1] == 0x02) {
    return v4_at(v4_in_6to4);
  }
  if (IN6_IS_ADDR_LINKLOCAL(&address)) {
    return AddressKind::link_local;
  }
  return (bytes[0] & 0xfeU) == 0xfcU || IN6_IS_ADDR_SITELOCAL(&address) ? AddressKind::site
                                                                        : AddressKind::global;
}

}  // namespace

std::optional<AddressKind> address_kind(std::string_view address) {
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  const std::string text(address.substr(0, address.find('%')));
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return kind_of_v4(ntohl(v4.s_addr));
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    return kind_of_v6(v6);
  }
  return std::nullopt;
}

AddressKind address_kind(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return kind_of_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return kind_of_v6(v6.sin6_addr);
  }
  return AddressKind::loopback;
}

bool allows(const PeerRule& rule, AddressKind kind) {
  switch (kind) {
    case AddressKind::global:
      return rule.global;
    case AddressKind::site:
      return rule.site;
    case AddressKind::loopback:
      return rule.loopback;
    case AddressKind::link_local:
      return rule.link_local;
  }
  return false;
}

PeerRule peers_of(AddressKind kind) {
  return {.global = kind == AddressKind::global,
          .site = kind != AddressKind::global,
          .loopback = kind == AddressKind::loopback,
          .link_local = kind == AddressKind::link_local};
}

}  // namespace fnimage::registry
