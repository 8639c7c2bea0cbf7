// An HTTP/1.1 server (RFC 9110, RFC 9112) over TCP or TLS. All connections are served by a few I/O
// threads that never wait for a client, so that slow and silent ones cost memory only, and a
// bounded amount of it; what may take long runs on worker threads. Thread-safety: run() on one
// thread, stop() from any.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>

#include "http/exchange.hpp"

namespace fnimage::server {

struct TlsFiles {
  std::filesystem::path certificate;  ///< PEM: the server's, then those up to the root
  std::filesystem::path key;          ///< PEM
};

struct HttpLimits {
  std::size_t connections =
      1024;  ///< open at once; above, the longest idle is closed, or none accepted
  std::size_t head_bytes = 65'536;      ///< request line and headers
  std::chrono::seconds head_time{10};   ///< for a TLS handshake, and for a whole head
  std::chrono::seconds idle_time{60};   ///< between requests of a connection
  std::chrono::seconds stall_time{30};  ///< in which a body must make some progress...
  std::uint64_t stall_bytes = 16'384;   ///< ...namely this many bytes, either way
  std::chrono::seconds drain_time{10};  ///< for requests in progress, after stop()
  std::size_t loops = 4;                ///< threads for I/O, no more than there are processors
  std::size_t workers = 16;             ///< threads for what may wait, which is the disk above all
  std::size_t waiting = 1024;           ///< requests that wait for a worker; more are answered 503
};

/// What a server does, and has done.
struct HttpLoad {
  std::size_t connections = 0;       ///< open now
  std::uint64_t requests = 0;        ///< in progress
  std::uint64_t received_bytes = 0;  ///< of requests' bodies
  std::uint64_t sent_bytes = 0;      ///< of answers' bodies
};

class HttpServer {
 public:
  /// @param address numeric, "127.0.0.1" or "::" (with IPv4 where the host allows that); port 0 =
  /// any that is free. The handler is not owned and lives longer. Errors: invalid_argument
  /// (address), unavailable (in use), tls (certificate or key), permission_denied.
  static Result<std::unique_ptr<HttpServer>> listen(const std::string& address, std::uint16_t port,
                                                    Handler& handler,
                                                    const std::optional<TlsFiles>& tls = {},
                                                    const HttpLimits& limits = {});
  virtual ~HttpServer() = default;
  [[nodiscard]] virtual std::uint16_t port() const noexcept = 0;
  /// Serves until stop(), then lets requests in progress end. Connections are accepted by the
  /// kernel from listen() on.
  virtual void run() = 0;
  virtual void stop() = 0;
  /// New connections get the certificate that the files hold now; on an error the old one stays.
  virtual Result<void> reload_certificate() = 0;
  /// Connections open now.
  [[nodiscard]] virtual std::size_t connections() const noexcept = 0;
  [[nodiscard]] virtual HttpLoad load() const noexcept = 0;
};

}  // namespace fnimage::server
