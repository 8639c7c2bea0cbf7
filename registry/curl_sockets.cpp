// See curl_sockets.hpp.
#include "curl_sockets.hpp"

#include <algorithm>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fnimage::registry {

namespace {

/// One end of a connection, as libcurl spells it.
struct End {
  std::string address;
  long port = 0;
  friend bool operator==(const End&, const End&) = default;
};

using NameOf = int (*)(int, sockaddr*, socklen_t*);

End end_of(curl_socket_t socket, NameOf name_of) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* generic = reinterpret_cast<sockaddr*>(&storage);
  if (name_of(socket, generic, &size) != 0) {
    return {};
  }
  char text[INET6_ADDRSTRLEN] = "";
  if (generic->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(generic);
    ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return {text, ntohs(v4->sin_port)};
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(generic);
  ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return {text, ntohs(v6->sin6_port)};
}

End end_of(CURL* transfer, CURLINFO address, CURLINFO port) {
  char* text = nullptr;
  End end;
  if (curl_easy_getinfo(transfer, address, &text) != CURLE_OK || text == nullptr ||
      curl_easy_getinfo(transfer, port, &end.port) != CURLE_OK) {
    return {};
  }
  end.address = text;
  return end;
}

}  // namespace

curl_socket_t CurlSockets::open(const curl_sockaddr& address) {
  const curl_socket_t socket =
      ::socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
  if (socket != CURL_SOCKET_BAD) {
    open_[socket] = ++last_id_;
  }
  return socket;
}

int CurlSockets::on_close(void* self, curl_socket_t socket) noexcept {
  static_cast<CurlSockets*>(self)->open_.erase(socket);
  return ::close(socket);
}

CurlSockets::Socket CurlSockets::find(CURL* transfer) const {
  const End local = end_of(transfer, CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT);
  const End peer = end_of(transfer, CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT);
  if (local.port == 0) {
    return {};
  }
  for (const auto& [number, id] : open_) {
    if (end_of(number, ::getsockname) == local && end_of(number, ::getpeername) == peer) {
      return {number, id};
    }
  }
  return {};
}

bool CurlSockets::keep_to(const PeerRule& rule, const std::string& host) const {
  const auto found = kinds_.find(host);
  return found == kinds_.end() ||
         std::all_of(found->second.begin(), found->second.end(),
                     [&rule](AddressKind kind) { return allows(rule, kind); });
}

bool CurlSockets::is_open(const Socket& socket) const {
  const auto found = open_.find(socket.number);
  return found != open_.end() && found->second == socket.id;
}

}  // namespace fnimage::registry
