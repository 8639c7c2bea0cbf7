// See the header. Sources: RFC 9112, RFC 9110 section 10.1.1 (Expect).
#include "connection.hpp"

#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/flat_stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "admission.hpp"

namespace controller {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::chrono::seconds handshake_limit{5};
constexpr std::chrono::seconds request_limit{10};  // from its first byte to its last
constexpr std::chrono::seconds write_limit{10};
constexpr std::chrono::seconds goodbye_limit{5};
// Longer than the API server keeps a connection that it does not use (90 s), so that it is never
// closed just when a request comes.
constexpr std::chrono::seconds idle_limit{120};
constexpr int requests_of_connection = 10'000;
constexpr std::uint32_t max_head_bytes = 64 << 10;
constexpr std::size_t buffer_bytes = 16 << 10;  // what a TLS record holds
constexpr std::size_t max_thrown_away = std::size_t{16} << 20;

constexpr int bad_request = 400;
constexpr int too_large = 413;
constexpr int head_too_large = 431;
constexpr int busy = 503;

/// The status for what is no request, nullopt where the client went or was too slow: nobody waits
/// for an answer.
std::optional<int> status_of(const error_code& error) {
  if (error == http::error::body_limit) {
    return too_large;
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return head_too_large;
  }
  const bool is_about_http = error.category() == make_error_code(http::error::bad_value).category();
  const bool has_ended =
      error == http::error::end_of_stream || error == http::error::partial_message;
  return is_about_http && !has_ended ? std::optional(bad_request) : std::nullopt;
}

HttpResponse refusal(int status, std::string_view why) {
  return {.status = status, .body = std::string(why) + "\n"};
}

class TlsConnection final : public Connection, public std::enable_shared_from_this<TlsConnection> {
 public:
  TlsConnection(asio::ip::tcp::socket socket, asio::ssl::context& context, Owner& owner)
      : owner_(owner), stream_(beast::tcp_stream(std::move(socket)), context) {}

  ~TlsConnection() override {
    return_room();
    owner_.forget(*this);
  }

  void begin() override;
  void close() override;

 private:
  template <class Member>
  auto then(Member member) {
    return beast::bind_front_handler(member, shared_from_this());
  }
  void limit(std::chrono::seconds time) { tcp().expires_after(time); }
  beast::tcp_stream& tcp() { return stream_.next_layer().next_layer(); }

  void next_request();
  void on_first(error_code error, std::size_t bytes);
  void read_head();
  void on_head(error_code error, std::size_t bytes);
  void read_body(error_code error, std::size_t bytes);
  void on_body(error_code error, std::size_t bytes);
  void refuse(const error_code& error);
  void refuse(HttpResponse why);
  Reply reply();
  void write(HttpResponse answer);
  void on_written(error_code error, std::size_t bytes);
  void say_goodbye();
  void throw_away(error_code error, std::size_t bytes);
  void return_room();

  Owner& owner_;
  beast::flat_stream<asio::ssl::stream<beast::tcp_stream>> stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  int requests_ = 0;
  std::size_t thrown_away_ = 0;
  bool has_unread_ = false;  ///< a part of a request that is refused
};

void TlsConnection::begin() {
  error_code ignored;
  tcp().socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  limit(handshake_limit);
  stream_.next_layer().async_handshake(asio::ssl::stream_base::server,
                                       [self = shared_from_this()](error_code error) {
                                         if (!error && self->phase() != Phase::closed) {
                                           self->next_request();
                                         }
                                       });
}

void TlsConnection::close() {
  enter(Phase::closed);
  return_room();
  tcp().close();
}

void TlsConnection::return_room() {
  owner_.give_back_room(std::exchange(room_, 0));
}

void TlsConnection::next_request() {
  parser_.emplace();
  parser_->header_limit(max_head_bytes);
  parser_->body_limit(max_review_bytes);
  buffer_.reserve(buffer_bytes);
  if (buffer_.size() > 0) {  // it came with the one before
    limit(request_limit);
    return read_head();
  }
  if (owner_.is_stopping()) {
    return say_goodbye();
  }
  enter(Phase::idle);
  limit(requests_ == 0 ? request_limit : idle_limit);
  stream_.async_read_some(buffer_.prepare(buffer_bytes), then(&TlsConnection::on_first));
}

void TlsConnection::on_first(error_code error, std::size_t bytes) {
  if (phase() == Phase::closed) {
    return;
  }
  if (error) {
    return say_goodbye();
  }
  buffer_.commit(bytes);
  limit(request_limit);
  read_head();
}

void TlsConnection::read_head() {
  enter(Phase::reading);
  http::async_read_header(stream_, buffer_, *parser_, then(&TlsConnection::on_head));
}

void TlsConnection::on_head(error_code error, std::size_t /*bytes*/) {
  if (phase() == Phase::closed) {
    return;
  }
  if (error) {
    return refuse(error);
  }
  const auto length = parser_->content_length();
  const std::size_t room = parser_->chunked() ? max_review_bytes
                           : length           ? static_cast<std::size_t>(*length)
                                              : 0;
  if (!owner_.take_room(room)) {
    return refuse(refusal(busy, "too many requests at once"));
  }
  room_ = room;
  if (!parser_->is_done() && beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    return asio::async_write(stream_, asio::buffer(go_on), then(&TlsConnection::read_body));
  }
  read_body({}, 0);
}

void TlsConnection::read_body(error_code error, std::size_t /*bytes*/) {
  if (error || phase() == Phase::closed) {
    return;
  }
  http::async_read(stream_, buffer_, *parser_, then(&TlsConnection::on_body));
}

void TlsConnection::on_body(error_code error, std::size_t /*bytes*/) {
  if (phase() == Phase::closed) {
    return;
  }
  if (error) {
    return refuse(error);
  }
  enter(Phase::answering);
  ++requests_;
  auto& request = parser_->get();
  owner_.handle({.method = std::string(request.method_string()),
                 .target = std::string(request.target()),
                 .body = std::move(request.body()),
                 .read = Clock::now()},
                reply());
}

void TlsConnection::refuse(const error_code& error) {
  if (const auto status = status_of(error)) {
    refuse(refusal(*status, error.message()));
  }
}

void TlsConnection::refuse(HttpResponse why) {
  enter(Phase::answering);
  has_unread_ = true;
  write(std::move(why));
}

Reply TlsConnection::reply() {
  // The guard keeps the connections' thread from running out of work, and ending, meanwhile.
  return [self = shared_from_this(),
          guard = asio::make_work_guard(stream_.get_executor())](HttpResponse answer) mutable {
    const auto executor = guard.get_executor();
    // Moved: the connection must not end on another thread.
    asio::dispatch(executor, [self = std::move(self), answer = std::move(answer)]() mutable {
      self->write(std::move(answer));
    });
  };
}

void TlsConnection::write(HttpResponse answer) {
  const auto& request = parser_->get();
  const bool goes_on = !has_unread_ && request.keep_alive() && !owner_.is_stopping() &&
                       requests_ < requests_of_connection;
  response_ = {};
  response_.version(request.version() == 10 ? 10 : 11);
  response_.result(static_cast<unsigned>(answer.status));
  response_.keep_alive(goes_on);
  response_.set(http::field::content_type, answer.type);
  if (!answer.allow.empty()) {
    response_.set(http::field::allow, answer.allow);
  }
  response_.content_length(answer.body.size());
  if (request.method() != http::verb::head) {
    response_.body() = std::move(answer.body);
  }
  limit(write_limit);
  http::async_write(stream_, response_, then(&TlsConnection::on_written));
}

void TlsConnection::on_written(error_code error, std::size_t /*bytes*/) {
  return_room();
  if (error) {
    return;
  }
  if (response_.keep_alive()) {
    return next_request();
  }
  say_goodbye();
}

void TlsConnection::say_goodbye() {
  enter(Phase::ending);
  limit(goodbye_limit);
  stream_.next_layer().async_shutdown(
      [self = shared_from_this()](error_code) { self->throw_away({}, 0); });
}

/// What the client still sends. A socket that is closed before is reset, and then the client may
/// lose the answer. It is the socket that is read: TLS ends with the first that comes after its
/// end.
void TlsConnection::throw_away(error_code error, std::size_t bytes) {
  thrown_away_ += bytes;
  if (error || phase() == Phase::closed || thrown_away_ > max_thrown_away) {
    return;
  }
  buffer_.clear();
  tcp().async_read_some(buffer_.prepare(buffer_bytes), then(&TlsConnection::throw_away));
}

}  // namespace

std::shared_ptr<Connection> Connection::make(asio::ip::tcp::socket socket,
                                             asio::ssl::context& context, Owner& owner) {
  return std::make_shared<TlsConnection>(std::move(socket), context, owner);
}

}  // namespace controller
