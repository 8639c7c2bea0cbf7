// Debian's docker-registry as a fixture: on a free port of 127.0.0.1 with a directory of its own,
// stopped at the end. With TLS it gets a certificate of a private authority made on the spot; with
// a user it wants basic authentication. Thread-safety: one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <sys/types.h>

#include <fnimage/test/temp_dir.hpp>

namespace fnimage::test {

struct DockerRegistryOptions {
  bool tls = false;
  std::string user{};  ///< empty = anonymous
  std::string password{};
  bool deletion = false;
  std::string token_realm{};  ///< wants tokens of this server, which it never accepts; with tls
  bool client_certificate = false;  ///< wants one of its authority; with tls only
};

class DockerRegistry {
 public:
  /// Why the fixture cannot be used on this machine; empty = it can. For GTEST_SKIP().
  static std::string missing();

  /// Throws std::runtime_error when the registry does not come up.
  explicit DockerRegistry(const DockerRegistryOptions& options = {});
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;
  ~DockerRegistry();

  [[nodiscard]] const std::string& address() const { return address_; }  ///< "127.0.0.1:port"
  [[nodiscard]] std::filesystem::path ca_file() const { return directory_ / "ca.pem"; }
  /// A certificate (and key) of its authority, for clients too.
  [[nodiscard]] std::filesystem::path cert_file() const { return directory_ / "server.pem"; }
  [[nodiscard]] std::filesystem::path key_file() const { return directory_ / "server.key"; }

  /// Takes a blob (by its SHA-256 in hex) away from a repository, behind the registry's back.
  void lose_blob(const std::string& repository, const std::string& hex) const;

 private:
  void make_certificates() const;
  void start(const DockerRegistryOptions& options);
  bool answers();
  void stop() noexcept;

  TempDir directory_;
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace fnimage::test
