// HTTP: the interface that everything network goes through, and its implementation over libcurl.
// One thread owns a curl multi handle; perform() hands it a request and blocks. HTTP/1.1 for bodies
// (Debian 12's curl 7.88 has HTTP/2 upload faults). No redirect is followed, no cookie kept, no
// .netrc read: callers decide (redirects and credentials belong to one origin). Proxies come from
// the environment, read when the transport is made: http_proxy, https_proxy, all_proxy, no_proxy.
// Thread-safety: perform() may be called from any number of threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
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
  std::string ca_pem{};               ///< more certificates to trust, as PEM text
};

/// Which addresses a request may go to, looked at when connecting, since a name may stand for any.
/// A proxy of the environment is not held to it.
struct PeerRule {
  bool global = true;      ///< of the Internet
  bool site = true;        ///< private ones
  bool loopback = true;    ///< this machine
  bool link_local = true;  ///< 169.254.0.0/16, fe80::/10
  [[nodiscard]] bool is_any() const noexcept { return global && site && loopback && link_local; }
};

struct Header {
  std::string name;
  std::string value;
};

struct HttpResponse {
  int status = 0;
  std::vector<Header> headers{};
  std::string body{};
  std::string peer{};  ///< numeric address of who answered; empty behind a proxy
  /// Whose credentials a refused request carried and where they came from, for messages; never a
  /// secret. Set by the client, not by the transport.
  std::string credentials{};
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
  std::uint64_t body_limit = std::numeric_limits<std::uint64_t>::max();  ///< at most so many bytes
  Writer* sink = nullptr;  ///< not owned; takes the body of a 2xx answer; otherwise the body goes
                           ///< to HttpResponse::body
  /// Called on the calling thread with status and headers before the first byte goes to the sink;
  /// its error ends the transfer.
  std::function<Result<void>(const HttpResponse&)> on_answer{};
  std::uint64_t max_body =
      std::uint64_t{1} << 20;  ///< bytes of answer body kept in memory; more is a protocol error
  /// max_body is for answers of any status; otherwise only the first 8 KiB of an error's are kept.
  bool whole_errors = false;
  bool own_connection = false;  ///< a new one, closed after the answer
  TlsOptions tls{};
  PeerRule peers{};
  ProgressTask* progress = nullptr;      ///< not owned; body bytes sent, or received into sink
  std::chrono::milliseconds timeout{0};  ///< for the whole exchange; 0 = only the stall timeout
  bool even_when_stopped = false;        ///< for cleaning up after TransportOptions::stop
  /// How long it may go on after that stop when it is under way already: for what makes something
  /// that has no name to be removed by before the answer is there.
  std::chrono::milliseconds grace{0};
};

/// Bounds of one host; what is absent is as for all.
struct HostLimits {
  std::optional<std::size_t> connections{};   ///< at least 2
  std::optional<std::uint64_t> rate_limit{};  ///< bytes per second of its bodies, each direction
};

struct TransportOptions {
  /// Budget of one host for all images together, at least 2. Large bodies leave one free for small
  /// requests, unless some go up and others down.
  std::size_t connections_per_host = 8;
  std::chrono::seconds connect_timeout{15};
  /// Fewer than min_speed bytes per second in both directions for so long is a failure (F17).
  std::chrono::seconds stall_timeout{30};
  std::uint32_t min_speed = 32;
  /// A peer that has the whole body may think about it longer: one second more for so many bytes.
  std::uint64_t answer_speed = std::uint64_t{16} << 20;
  std::uint64_t rate_limit = 0;  ///< bytes per second of all bodies, in each direction; 0 = none
  /// By "host:port", or "host" for the default port.
  std::map<std::string, HostLimits, std::less<>> hosts{};
  std::string user_agent{};  ///< empty = "fnimage/<version>"
  std::stop_token stop{};    ///< when asked: everything under way ends as cancelled
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// Sends one request and waits for the whole answer. Any HTTP status is a success here. Errors:
  /// unavailable (retryable), tls, protocol, cancelled, or the sink's own error. Messages name the
  /// URL without user info and query.
  virtual Result<HttpResponse> perform(const HttpRequest& request) = 0;
  /// Whoever waits before the next request waits no longer than this allows.
  [[nodiscard]] virtual std::stop_token stop_token() const { return {}; }
};

Result<std::unique_ptr<Transport>> make_curl_transport(const TransportOptions& options);

/// scheme://host[:port]/path without user info, query and fragment: the only form of a URL that is
/// shown to people.
std::string printable_url(std::string_view url);

}  // namespace fnimage::registry
