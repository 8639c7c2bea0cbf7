// The Transport over libcurl: the calling thread's side. It feeds the request body, writes the
// answer's body to the sink and waits for the end; the network itself is CurlLoop's. A request that
// died on a kept-alive connection before any answer is sent once more on a fresh one (F16).
#include <algorithm>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/transport.hpp>

#include "curl_error.hpp"
#include "curl_loop.hpp"
#include "proxy.hpp"

namespace fnimage::registry {

namespace {

/// Reads the request body in chunks.
class BodyFeed {
 public:
  explicit BodyFeed(const HttpRequest& request)
      : body_(request.body), offset_(request.body_offset), left_(body_size(request)) {}

  /// Empty at the end.
  Result<std::string> next() {
    if (left_ == 0) {
      return std::string();
    }
    if (!reader_) {
      FNIMAGE_TRY(reader_, body_->open(offset_));
    }
    std::string chunk(std::min<std::uint64_t>(Exchange::chunk_bytes, left_), '\0');
    FNIMAGE_TRY(const std::size_t count,
                reader_->read(std::as_writable_bytes(std::span(chunk.data(), chunk.size()))));
    if (count == 0) {
      return fail(ErrorCode::io,
                  "the content to be sent ended " + std::to_string(left_) + " bytes early");
    }
    left_ -= count;
    chunk.resize(count);
    return chunk;
  }

 private:
  const Content* body_;
  std::uint64_t offset_;
  std::uint64_t left_;
  std::unique_ptr<Reader> reader_;
};

/// What the calling thread does while a transfer runs.
class Attendant {
 public:
  Attendant(CurlLoop& loop, TransferPtr transfer, const HttpRequest& request)
      : loop_(loop), transfer_(std::move(transfer)), request_(request), feed_(request) {}

  /// The first chunk is read before a connection is taken: a body that comes from another transfer
  /// has its own by then.
  Result<void> begin() {
    if (transfer_->sends_file() || transfer_->holds_body()) {
      loop_.submit(transfer_);
      return {};
    }
    FNIMAGE_TRY(std::string chunk, feed_.next());
    transfer_->exchange().supply(std::move(chunk));
    loop_.submit(transfer_);
    return {};
  }

  Result<void> attend(const Exchange::Step& step) {
    if (!step.received.empty()) {
      if (received_ == 0 && request_.on_answer) {
        FNIMAGE_CHECK(request_.on_answer(transfer_->answer()));
      }
      FNIMAGE_CHECK(request_.sink->write(fnimage::as_bytes(step.received)));
      received_ += step.received.size();
    }
    report(step);
    if (step.resume) {
      loop_.resume(transfer_);
    }
    if (step.wants_body && !step.finished) {
      FNIMAGE_TRY(std::string chunk, feed_.next());
      if (transfer_->exchange().supply(std::move(chunk))) {
        loop_.resume(transfer_);
      }
    }
    return {};
  }

 private:
  void report(const Exchange::Step& step) {
    if (request_.progress != nullptr) {
      request_.progress->update(request_.sink != nullptr ? received_
                                                         : request_.body_offset + step.sent);
    }
  }

  CurlLoop& loop_;
  TransferPtr transfer_;
  const HttpRequest& request_;
  BodyFeed feed_;
  std::uint64_t received_ = 0;
};

class CurlTransport final : public Transport {
 public:
  CurlTransport(TransportOptions options, std::unique_ptr<CurlLoop> loop)
      : options_(std::move(options)),
        loop_(std::move(loop)),
        on_stop_(options_.stop, Stopper{loop_.get()}) {}

  Result<HttpResponse> perform(const HttpRequest& request) override {
    if (request.body != nullptr && request.body_offset > request.body->size()) {
      return fail(ErrorCode::invalid_argument, "the body offset is behind the end of the body");
    }
    if (is_stopped(request)) {
      return fail(ErrorCode::cancelled,
                  "stopped before " + request.method + " " + printable_url(request.url));
    }
    auto transfer = std::make_shared<CurlTransfer>(request);
    FNIMAGE_CHECK(run(transfer, request, false));
    if (died_on_old_connection(*transfer)) {
      transfer = std::make_shared<CurlTransfer>(request);
      FNIMAGE_CHECK(run(transfer, request, true));
    }
    if (transfer->end().code != CURLE_OK) {
      if (is_stopped(request)) {
        // A connection that broke at the same moment is not why this ends.
        return fail(ErrorCode::cancelled,
                    request.method + " " + printable_url(request.url) + ": cancelled");
      }
      return fail(transfer_error(transfer->end(), request.method, request.url, request.tls));
    }
    return transfer->take_response();
  }

  [[nodiscard]] std::stop_token stop_token() const override { return options_.stop; }

 private:
  struct Stopper {
    CurlLoop* loop;
    void operator()() const { loop->stop(); }
  };

  [[nodiscard]] bool is_stopped(const HttpRequest& request) const {
    return options_.stop.stop_requested() && !request.even_when_stopped;
  }

  /// Large bodies are not sent again: much of one may have arrived, and its sender can find out.
  static bool died_on_old_connection(const CurlTransfer& transfer) {
    const TransferEnd& end = transfer.end();
    return !transfer.is_large() && end.reused_connection && !end.got_answer &&
           !transfer.delivered() &&
           (end.code == CURLE_SEND_ERROR || end.code == CURLE_RECV_ERROR ||
            end.code == CURLE_GOT_NOTHING);
  }

  Result<void> run(const TransferPtr& transfer, const HttpRequest& request, bool fresh);

  TransportOptions options_;
  Proxies proxies_ = Proxies::from_environment();
  std::unique_ptr<CurlLoop> loop_;
  std::stop_callback<Stopper> on_stop_;  // goes before the loop
};

Result<void> CurlTransport::run(const TransferPtr& transfer, const HttpRequest& request,
                                bool fresh) {
  FNIMAGE_CHECK(transfer->prepare(options_, proxies_.for_url(request.url), fresh));
  Exchange& exchange = transfer->exchange();
  Attendant attendant(*loop_, transfer, request);
  FNIMAGE_CHECK(attendant.begin());
  Result<void> result;
  for (bool finished = false; !finished;) {
    const Exchange::Step step = exchange.next();
    finished = step.finished;
    if (!result) {
      continue;  // waiting for the end of what was cancelled
    }
    result = attendant.attend(step);
    if (!result) {
      exchange.abandon();
      loop_->cancel(transfer);
    }
  }
  return result;
}

}  // namespace

std::optional<std::string> HttpResponse::header(std::string_view name) const {
  for (const Header& header : headers) {
    if (equals_ignoring_case(header.name, name)) {
      return header.value;
    }
  }
  return std::nullopt;
}

std::string printable_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = url.find("://");
  const std::size_t authority = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::size_t path = url.find('/', authority);
  const std::string_view host = url.substr(authority, path - authority);
  const std::size_t at = host.rfind('@');
  std::string result(url.substr(0, authority));
  result += at == std::string_view::npos ? host : host.substr(at + 1);
  if (path != std::string_view::npos) {
    result += url.substr(path);
  }
  return printable(result, 2048);
}

Result<std::unique_ptr<Transport>> make_curl_transport(const TransportOptions& options) {
  FNIMAGE_TRY(auto loop, CurlLoop::start(options));
  return std::make_unique<CurlTransport>(options, std::move(loop));
}

}  // namespace fnimage::registry
