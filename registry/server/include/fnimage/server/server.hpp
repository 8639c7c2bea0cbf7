// The embedded registry: a store directory served as an OCI registry (distribution-spec 1.1) over
// HTTP or HTTPS. Thread-safety: run() on one thread, the rest from any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/server/access.hpp>
#include <fnimage/server/gc.hpp>
#include <fnimage/server/operations.hpp>
#include <fnimage/server/page.hpp>
#include <fnimage/server/upstream.hpp>

namespace fnimage::server {

/// Certificate and key, both PEM. They are read again when they change.
struct Certificate {
  std::filesystem::path chain;  ///< the server's certificate, then those up to the root
  std::filesystem::path key;
};

struct ServerOptions {
  /// Made if missing. Each repository is an OCI image layout below it, at the repository's name.
  std::filesystem::path directory;
  std::string address = "127.0.0.1";  ///< numeric; "::" = all
  std::uint16_t port = 0;             ///< 0 = any that is free
  std::optional<Certificate> certificate{};
  bool can_delete = true;  ///< else DELETE of content is answered 405
  /// Nothing can be changed: the directory may be on a file system that cannot be written, or
  /// another server's.
  bool is_read_only = false;
  bool takes_sparse = false;  ///< lists of manifests that are not here may be put
  /// Who may do what; without it everybody may do everything.
  std::optional<AccessOptions> access{};
  PageOptions page{};
  /// When garbage is collected; without it never. Not together with is_read_only.
  std::optional<GcSchedule> gc{};
  /// Other registries that are shown below a prefix; without, there are none.
  std::optional<UpstreamOptions> upstream{};
  /// Gets a line for each request, without its end. Called from several threads at once.
  std::function<void(const std::string& line)> access_log{};
  OperationsOptions operations{};
};

class Server {
 public:
  /// Opens the store and begins to listen. Errors: invalid_argument (address, gc), unavailable
  /// (port in use), already_exists (another server uses the directory), tls (certificate, key),
  /// those of the file system.
  static Result<std::unique_ptr<Server>> open(ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Of OperationsOptions::metrics_address; 0 = there is none.
  [[nodiscard]] std::uint16_t metrics_port() const noexcept;
  /// Serves until stop(), then lets requests in progress end for a bounded time.
  void run();
  /// May be called before run(), too; safe in no signal handler.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fnimage::server
