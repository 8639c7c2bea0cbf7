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

#include "exchange.hpp"

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
  std::string curl_text{};  ///< libcurl's own words
};

class Transfer {
 public:
  /// Error bodies are kept up to this many bytes; when more than max_error_body_read come, the
  /// transfer is cut.
  static constexpr std::size_t max_error_body = std::size_t{64} * 1024;
  static constexpr std::uint64_t max_error_body_read = std::uint64_t{1} << 20;
  static constexpr std::size_t max_header_bytes = std::size_t{64} * 1024;

  explicit Transfer(const HttpRequest& request);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer();

  /// @param fresh true: never on a kept-alive connection.
  Result<void> prepare(const TransportOptions& options, bool fresh);

  // --- transfer thread ---
  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }
  [[nodiscard]] bool is_download() const noexcept { return request_.sink != nullptr; }
  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  void complete(CURLcode code);

  // --- both ---
  Exchange& exchange() noexcept { return exchange_; }

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
  static int on_seek(void* self, curl_off_t offset, int origin) noexcept;

  bool set_common(const TransportOptions& options);
  bool set_tls();
  bool set_method();
  bool set_headers();
  bool take_header(std::string_view line);
  std::size_t take_body(std::string_view bytes);
  bool keep_body(std::string_view bytes);

  const HttpRequest& request_;
  std::string host_;
  std::unique_ptr<curl_slist, CurlListDeleter> header_list_;
  std::unique_ptr<CURL, CurlEasyDeleter> easy_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  Exchange exchange_;
  HttpResponse response_;
  HttpResponse answer_;
  TransferEnd end_;
  std::size_t header_bytes_ = 0;
  std::uint64_t error_body_read_ = 0;
  bool delivered_ = false;
};

}  // namespace fnimage::registry
