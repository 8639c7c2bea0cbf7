// Which proxy a URL goes through, as the environment says: http_proxy, https_proxy and all_proxy,
// in lower case or else in upper case, and no_proxy. Loopback peers are never behind a proxy; other
// tools of the field leave them out too. Thread-safety: immutable after creation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::registry {

class Proxies {
 public:
  /// The value of an environment variable; empty = not set.
  using Lookup = std::function<std::string(const char* name)>;

  static Proxies from(const Lookup& lookup);
  static Proxies from_environment();

  /// The proxy for a URL, as it was written, credentials and all; empty = none.
  [[nodiscard]] std::string for_url(std::string_view url) const;

 private:
  [[nodiscard]] bool is_excepted(std::string_view host, std::string_view port) const;

  std::string http_;
  std::string https_;
  std::vector<std::string> excepted_;
};

/// Whether an entry of no_proxy is about this peer: "*", a domain (with all below it, however it is
/// written: x.org, .x.org, *.x.org), an IP address or network (10.0.0.0/8), each but "*" with a
/// port or for all. @param host lower case; IPv6 addresses without brackets.
bool excepts(std::string_view entry, std::string_view host, std::string_view port);

}  // namespace fnimage::registry
