// See proxy.hpp.
#include "proxy.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <fnimage/base/text.hpp>

#include "url.hpp"

namespace fnimage::registry {

namespace {

/// The bytes of a numeric address, most significant first; empty for anything else.
std::vector<unsigned char> address_bytes(std::string_view text) {
  const std::string copy(text);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  for (const auto& [family, size] :
       {std::pair{AF_INET, sizeof(in_addr)}, std::pair{AF_INET6, sizeof(in6_addr)}}) {
    if (::inet_pton(family, copy.c_str(), bytes.data()) == 1) {
      return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
    }
  }
  return {};
}

bool is_in_network(const std::vector<unsigned char>& address,
                   const std::vector<unsigned char>& network, std::size_t bits) {
  constexpr std::size_t bits_per_byte = 8;
  if (address.size() != network.size() || bits > address.size() * bits_per_byte) {
    return false;
  }
  for (std::size_t i = 0; i < bits; ++i) {
    const unsigned mask = 0x80U >> (i % bits_per_byte);
    if (((address[i / bits_per_byte] ^ network[i / bits_per_byte]) & mask) != 0) {
      return false;
    }
  }
  return true;
}

/// "host:port" or "[address]:port" taken apart; the port is empty when there is none.
std::pair<std::string_view, std::string_view> split_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::string_view port;
  const bool bare_v6 = !text.starts_with('[') && text.find(':') != colon;
  if (colon != std::string_view::npos && !text.ends_with(']') && !bare_v6) {
    port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
  }
  return {text, port};
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1";
}

std::string first_of(const Proxies::Lookup& lookup, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value(trim(lookup(name))); !value.empty()) {
      return value;
    }
  }
  return {};
}

}  // namespace

Proxies Proxies::from(const Lookup& lookup) {
  Proxies proxies;
  // A web server that runs this as a CGI program puts its clients' header "Proxy" there.
  const bool is_cgi = !lookup("REQUEST_METHOD").empty();
  proxies.http_ = first_of(
      lookup, {"http_proxy", is_cgi ? "all_proxy" : "HTTP_PROXY", "all_proxy", "ALL_PROXY"});
  proxies.https_ = first_of(lookup, {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  std::string excepted = first_of(lookup, {"no_proxy", "NO_PROXY"});
  for (char& c : excepted) {
    c = c == ' ' || c == '\t' ? ',' : c;
  }
  for (const std::string_view entry : split(excepted, ',')) {
    if (!entry.empty()) {
      proxies.excepted_.push_back(to_lower(entry));
    }
  }
  return proxies;
}

Proxies Proxies::from_environment() {
  return from([](const char* name) -> std::string {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets it
    return value == nullptr ? "" : value;
  });
}

std::string Proxies::for_url(std::string_view url) const {
  const std::string& proxy = to_lower(url.substr(0, 6)) == "https:" ? https_ : http_;
  const std::string peer = host_and_port(url);
  const auto [host, port] = split_port(peer);
  return proxy.empty() || host.empty() || is_loopback(host) || is_excepted(host, port) ? "" : proxy;
}

bool Proxies::is_excepted(std::string_view host, std::string_view port) const {
  for (const std::string& entry : excepted_) {
    if (excepts(entry, host, port)) {
      return true;
    }
  }
  return false;
}

bool excepts(std::string_view entry, std::string_view host, std::string_view port) {
  if (entry == "*") {
    return true;
  }
  auto [name, only_port] = split_port(entry);
  if (!only_port.empty() && only_port != port) {
    return false;
  }
  if (const auto address = address_bytes(host); !address.empty()) {
    const std::size_t slash = name.find('/');
    const auto network = address_bytes(name.substr(0, slash));
    std::size_t bits = network.size() * 8;
    if (slash != std::string_view::npos) {
      const std::string_view digits = name.substr(slash + 1);
      const auto [end, problem] =
          std::from_chars(digits.data(), digits.data() + digits.size(), bits);
      if (problem != std::errc() || end != digits.data() + digits.size()) {
        return false;
      }
    }
    return is_in_network(address, network, bits);
  }
  if (name.starts_with("*.")) {
    name.remove_prefix(1);
  }
  if (name.starts_with('.')) {
    name.remove_prefix(1);
  }
  if (host.ends_with('.')) {
    host.remove_suffix(1);
  }
  return !name.empty() &&
         (host == name || (host.ends_with(name) && host[host.size() - name.size() - 1] == '.'));
}

}  // namespace fnimage::registry
