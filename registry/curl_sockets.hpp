// The sockets that libcurl has open: which one a transfer uses, libcurl 7.88 does not tell while
// the transfer runs. Thread-safety: the transfer thread's own.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include <curl/curl.h>

#include "address.hpp"

namespace fnimage::registry {

class CurlSockets {
 public:
  /// A socket and which of all that had its number it is: the system gives numbers again at once.
  struct Socket {
    curl_socket_t number = CURL_SOCKET_BAD;
    std::uint64_t id = 0;
  };

  /// As a CURLOPT_OPENSOCKETFUNCTION answers; CURL_SOCKET_BAD with errno when there is no socket.
  curl_socket_t open(const curl_sockaddr& address);
  /// CURLOPT_CLOSESOCKETFUNCTION; `self` is the CurlSockets.
  static int on_close(void* self, curl_socket_t socket) noexcept;

  /// The socket of the connection that a transfer uses now; CURL_SOCKET_BAD when it is not known.
  [[nodiscard]] Socket find(CURL* transfer) const;
  [[nodiscard]] bool is_open(const Socket& socket) const;

  /// Notes that connections to a host ("name:port") lead to such an address.
  void note(const std::string& host, AddressKind kind) { kinds_[host].insert(kind); }
  /// Whether none of the connections that were made to a host breaks the rule.
  [[nodiscard]] bool keep_to(const PeerRule& rule, const std::string& host) const;

 private:
  std::map<curl_socket_t, std::uint64_t> open_;  ///< number to id
  std::uint64_t last_id_ = 0;
  std::map<std::string, std::set<AddressKind>> kinds_;  ///< by host, of all that were ever made
};

}  // namespace fnimage::registry
