// See the header.
#include "port.hpp"

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "descriptor.hpp"

namespace fnimage::run {
namespace {

constexpr const char* state_listen = "0A";

/// Lines are "N: LOCAL:PORT REMOTE:PORT STATE …", in hexadecimal.
bool has_listener(const char* table, std::uint16_t port) {
  const std::string suffix = fmt::format(":{:04X}", port);
  std::ifstream file(table);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string number;
    std::string local;
    std::string remote;
    std::string state;
    words >> number >> local >> remote >> state;
    if (state == state_listen && local.ends_with(suffix)) {
      return true;
    }
  }
  return false;
}

Result<std::uint16_t> free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const general = reinterpret_cast<sockaddr*>(&address);
  if (!socket || ::bind(socket.get(), general, size) != 0 ||
      ::getsockname(socket.get(), general, &size) != 0) {
    return fail(error_from_errno(errno, "find a free port"));
  }
  return ntohs(address.sin_port);
}

}  // namespace

bool is_listening(std::uint16_t port) {
  return has_listener("/proc/net/tcp", port) || has_listener("/proc/net/tcp6", port);
}

Result<ChosenPort> choose_port(std::optional<std::uint16_t> wanted, std::uint16_t usual) {
  const std::uint16_t port = wanted.value_or(usual);
  if (!is_listening(port)) {
    return ChosenPort{.port = port};
  }
  if (wanted) {
    return fail(ErrorCode::unavailable, fmt::format("port {} is in use", port),
                "choose another with --port");
  }
  FNIMAGE_TRY(const std::uint16_t other, free_port());
  return ChosenPort{.port = other, .is_other = true};
}

}  // namespace fnimage::run
