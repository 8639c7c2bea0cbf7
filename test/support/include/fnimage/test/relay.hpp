// What stands between a client and a server: a TLS front that decrypts for a plain server, and an
// HTTP proxy that forwards and tunnels. Both listen on 127.0.0.1 and a free port. Thread-safety:
// all methods may be called from any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace fnimage::test {

/// PEM.
struct Certificate {
  std::string certificate;
  std::string key;
};

/// Signed by itself. @param valid_from,valid_until days from now. @param names as OpenSSL writes
/// them.
Certificate make_certificate(
    int valid_from = -1, int valid_until = 1,
    const std::string& names = "IP:127.0.0.1,DNS:localhost,DNS:registry.test");

class TlsFront {
 public:
  /// @param target "127.0.0.1:port" of the server behind it. Asks its clients for a certificate and
  /// does without when they have none.
  TlsFront(const Certificate& certificate, std::string target);
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;
  ~TlsFront();

  [[nodiscard]] std::string address() const;  ///< "127.0.0.1:port"
  /// Connections whose client showed a certificate.
  [[nodiscard]] int known_clients() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class HttpProxy {
 public:
  /// @param target "127.0.0.1:port" where every name leads to.
  explicit HttpProxy(std::string target);
  HttpProxy(const HttpProxy&) = delete;
  HttpProxy& operator=(const HttpProxy&) = delete;
  ~HttpProxy();

  /// From now on everything is answered with this status.
  void refuse(int status);
  [[nodiscard]] std::string address() const;  ///< "127.0.0.1:port"
  /// The first head of each connection.
  [[nodiscard]] std::vector<std::string> heads() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fnimage::test
