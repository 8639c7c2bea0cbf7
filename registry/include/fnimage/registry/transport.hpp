// HTTP: the interface that everything network goes through, and its implementation over libcurl.
// One thread owns a curl multi handle; perform() hands it a request and blocks. HTTP/1.1 for bodies
// (Debian 12's curl 7.88 has HTTP/2 upload faults). No redirect is followed, no cookie kept, no
// .netrc read: callers decide (redirects and credentials belong to one origin). Proxies come from
// the environment. Thread-safety: perform() may be called from any number of threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::registry {

struct TlsOptions {
  bool verify = true;               ///< false: any certificate is accepted
  std::filesystem::path ca_file{};  ///< PEM; added to the system's certificates; empty = only those
  std::filesystem::path cert_file{};  ///< client certificate, PEM
  std::filesystem::path key_file{};   ///< client key, PEM
};

struct Header {
  std::string name;
  std::string value;
};

struct HttpResponse {
  int status = 0;
  std::vector<Header> headers{};
  std::string body{};
  /// The first header of that name, compared without case.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) const;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url{};
  std::vector<Header> headers{};
  const Content* body =
      nullptr;  ///< not owned; sent from body_offset to its end with Content-Length
  std::uint64_t body_offset = 0;
  Writer* sink = nullptr;  ///< not owned; takes the body of a 2xx answer; otherwise the body goes
                           ///< to HttpResponse::body
  /// Called on the calling thread with status and headers before the first byte goes to the sink;
  /// its error ends the transfer.
  std::function<Result<void>(const HttpResponse&)> on_answer{};
  std::uint64_t max_body =
      std::uint64_t{1} << 20;  ///< bytes of answer body kept in memory; more is a protocol error
  TlsOptions tls{};
  ProgressTask* progress = nullptr;  ///< not owned; body bytes sent, or received into sink
};

struct TransportOptions {
  std::size_t connections_per_host = 8;
  std::chrono::seconds connect_timeout{15};
  std::chrono::seconds stall_timeout{30};  ///< no byte in either direction for so long is a failure
  std::string user_agent{};                ///< empty = "fnimage/<version>"
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// Sends one request and waits for the whole answer. Any HTTP status is a success here. Errors:
  /// unavailable (retryable), tls, protocol, cancelled, or the sink's own error. Messages name the
  /// URL without user info and query.
  virtual Result<HttpResponse> perform(const HttpRequest& request) = 0;
};

Result<std::unique_ptr<Transport>> make_curl_transport(const TransportOptions& options);

/// scheme://host[:port]/path without user info, query and fragment: the only form of a URL that is
/// shown to people.
std::string printable_url(std::string_view url);

}  // namespace fnimage::registry
