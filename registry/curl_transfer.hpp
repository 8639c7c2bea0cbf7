// One HTTP exchange on a curl easy handle: options, callbacks and what came of it. The options are
// the security and robustness decisions of the design: HTTP/1.1, no redirects, no netrc, http and
// https only, stall detection, caps. Thread-safety: prepare() and the accessors after the end
// belong to the calling thread, the callbacks and complete() to the transfer thread; between them
// stands Exchange.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include <curl/curl.h>

#include <fnimage/registry/transport.hpp>

#include "curl_sockets.hpp"
#include "exchange.hpp"
#include "file_body.hpp"

namespace fnimage::registry {

struct CurlEasyDeleter {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

/// What is known about the end of a transfer.
struct TransferEnd {
  CURLcode code = CURLE_OK;
  long os_errno = 0;
  bool reused_connection = false;
  bool got_answer = false;  ///< at least a status line
  bool headers_too_large = false;
  bool body_too_large = false;
  std::string refused_peer{};  ///< the address that HttpRequest::peers does not allow
  std::string curl_text{};     ///< libcurl's own words
  std::string proxy{};         ///< that it went through, to be shown; empty = none
  long tunnel_status = 0;      ///< the proxy's answer to CONNECT; 0 = none
};

/// Bytes of body that a request sends.
std::uint64_t body_size(const HttpRequest& request) noexcept;

/// What holds for a host ("host:port"): its own limits, else those of all. Rate 0 = none.
struct EffectiveLimits {
  std::size_t connections;
  std::uint64_t rate;
};
EffectiveLimits limits_of(const TransportOptions& options, std::string_view host);

class CurlTransfer {
 public:
  /// Error bodies are kept up to this many bytes; when more than max_error_body_read come, the
  /// transfer is cut.
  static constexpr std::size_t max_error_body = std::size_t{8} * 1024;
  static constexpr std::uint64_t max_error_body_read = std::uint64_t{1} << 20;
  static constexpr std::size_t max_header_bytes = std::size_t{64} * 1024;
  static constexpr std::uint64_t small_body = std::uint64_t{64} * 1024;

  explicit CurlTransfer(const HttpRequest& request);
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;
  ~CurlTransfer();

  /// @param proxy to go through; empty = none. @param fresh true: never on a kept-alive connection.
  Result<void> prepare(const TransportOptions& options, std::string proxy, bool fresh);

  // --- transfer thread ---
  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }
  [[nodiscard]] bool is_download() const noexcept { return request_.sink != nullptr; }
  /// Takes long, so that small requests go first.
  [[nodiscard]] bool is_large() const noexcept {
    return is_download() || body_size(request_) > small_body;
  }
  [[nodiscard]] bool outlives_stop() const noexcept { return request_.even_when_stopped; }
  /// May go on for so long after the stop.
  [[nodiscard]] std::chrono::milliseconds grace() const noexcept { return request_.grace; }
  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  /// Sockets are opened and closed there, which must outlive all connections.
  bool attach(CurlSockets& sockets);
  /// A part of a file that is this transfer's body. An error ends the transfer.
  CURLcode send_file();
  /// Where more of the file can go; CURL_SOCKET_BAD when there is nothing to send now.
  [[nodiscard]] curl_socket_t file_socket() const noexcept;
  void complete(CURLcode code);

  // --- both ---
  Exchange& exchange() noexcept { return exchange_; }
  /// The body does not come through the exchange.
  [[nodiscard]] bool sends_file() const noexcept { return file_body_ != nullptr; }
  /// The body is here already, or there is none.
  [[nodiscard]] bool holds_body() const noexcept { return body_size(request_) <= small_body; }

  // --- calling thread ---
  /// Status and headers; only when bytes were received from the exchange and the request has an
  /// on_answer.
  [[nodiscard]] const HttpResponse& answer() const noexcept { return answer_; }

  // --- calling thread, after the end ---
  [[nodiscard]] const TransferEnd& end() const noexcept { return end_; }
  HttpResponse take_response() { return std::move(response_); }
  [[nodiscard]] bool delivered() const noexcept { return delivered_; }

 private:
  static std::size_t on_header(char* data, std::size_t size, std::size_t count,
                               void* self) noexcept;
  static std::size_t on_write(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static std::size_t on_read(char* data, std::size_t size, std::size_t count, void* self) noexcept;
  static curl_socket_t on_open(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
  static int on_debug(CURL* handle, curl_infotype type, char* data, std::size_t size,
                      void* self) noexcept;

  std::size_t give_body(char* target, std::size_t capacity) noexcept;
  bool set_common(const TransportOptions& options);
  bool set_tls();
  bool set_proxy();
  bool set_authorities();
  Result<void> choose_body(const TransportOptions& options);
  Result<void> hold_body(std::uint64_t size);
  bool set_method();
  bool set_file_body();
  void note_head(std::string_view sent);
  bool set_headers();
  bool take_header(std::string_view line);
  std::size_t take_body(std::string_view bytes);
  bool keep_body(std::string_view bytes);

  const HttpRequest& request_;
  std::string host_;
  std::string proxy_;
  std::string authorities_;  // PEM
  std::unique_ptr<curl_slist, CurlListDeleter> header_list_;
  std::unique_ptr<CURL, CurlEasyDeleter> easy_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  Exchange exchange_;
  HttpResponse response_;
  HttpResponse answer_;
  TransferEnd end_;
  std::chrono::seconds answer_time_{0};  ///< how long the answer to a whole body may take
  std::uint64_t body_left_ = 0;
  std::string held_body_;
  std::unique_ptr<FileBody> file_body_;
  std::string head_end_;  ///< the last bytes of the head that were sent
  bool head_sent_ = false;
  bool sent_twice_ = false;     ///< libcurl has begun again on another connection
  CurlSockets::Socket socket_;  ///< of the connection that the head went by
  CurlSockets* sockets_ = nullptr;
  std::chrono::seconds stall_timeout_{0};
  std::uint32_t min_speed_ = 0;
  std::size_t header_bytes_ = 0;
  std::uint64_t error_body_read_ = 0;
  bool delivered_ = false;
};

}  // namespace fnimage::registry
