#include "http/connection.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <fmt/format.h>

#include "http/answer_writer.hpp"
#include "http/body_reader.hpp"
#include "http/head.hpp"
#include "http/replies.hpp"
#include "http/transport.hpp"

namespace fnimage::server {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t first_read = std::size_t{4} << 10U;    // what an idle connection keeps
constexpr std::size_t longest_read = std::size_t{1} << 20U;  // more than is ever asked for at once
constexpr std::size_t unread_block = std::size_t{64} << 10U;
constexpr std::chrono::seconds linger_time{5};
constexpr std::size_t most_thrown_away = std::size_t{16} << 20U;
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

Response busy_reply() {
  constexpr int busy = 503;
  Response response = plain_reply(busy, "too many requests at once");
  response.headers.push_back({"Retry-After", "1"});
  response.closes = false;
  return response;
}

bool has_content(const Request& request, int status) {
  constexpr int no_content = 204;
  constexpr int not_modified = 304;
  return request.method != "HEAD" && status != no_content && status != not_modified;
}

/// "127.0.0.1:4711", "[::1]:4711"
std::string peer_of(const asio::ip::tcp::socket& socket) {
  error_code ignored;
  const auto endpoint = socket.remote_endpoint(ignored);
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  const std::string host = address.to_string();
  return fmt::format("{}:{}", address.is_v6() ? "[" + host + "]" : host, endpoint.port());
}

enum class Phase : std::uint8_t {
  handshake,
  idle,     ///< nothing has come of the next request
  head,     ///< a part of its head has come
  working,  ///< the handler has it
  body,     ///< its body comes
  writing,  ///< the answer goes
  ending,   ///< what still comes is thrown away
  closed
};

class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::unique_ptr<Transport> transport, Loop& loop, Shared& shared, Slot slot)
      : Connection(loop, shared, std::move(slot)),
        transport_(std::move(transport)),
        buffer_(shared.limits.head_bytes + longest_read),
        body_(*transport_, buffer_, pace_, loop.traffic, shared.limits.head_bytes),
        writer_(*transport_, pace_, loop.traffic, loop.door) {}
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection() override { end_request(); }

  void begin() override {
    if (shared_.is_stopping) {
      return close();
    }
    error_code ignored;
    auto& socket = transport_->socket();
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket.native_non_blocking(true, ignored);
    peer_ = peer_of(socket);
    phase_ = Phase::handshake;
    pace_.allow(shared_.limits.head_time);
    transport_->handshake([self = shared_from_this()](const error_code& error, std::size_t) {
      if (!error && self->is_open()) {
        self->next_request();
      }
    });
  }

  void check(Pace::Clock::time_point now) override {
    if (is_open() && pace_.is_over(now, shared_.limits)) {
      close();
    }
  }

  void close() override {
    phase_ = Phase::closed;
    error_code ignored;
    transport_->socket().close(ignored);
    writer_.give_up();
    if (kept_) {  // perhaps by nothing else, and somebody may be using it just now
      asio::post(loop_.context, [kept = std::move(kept_)] {});
    }
  }

  [[nodiscard]] bool is_idle() const override { return phase_ == Phase::idle; }
  [[nodiscard]] bool has_request() const override {
    return phase_ == Phase::working || phase_ == Phase::body || phase_ == Phase::writing ||
           phase_ == Phase::ending;
  }
  [[nodiscard]] Pace::Clock::time_point since() const override { return pace_.since(); }

 private:
  // Requests.

  void next_request() {
    if (shared_.is_stopping) {
      return close();  // it has its answer, and nothing of it is unread
    }
    scan_ = {};
    body_.forget();
    parser_.reset();
    buffer_.shrink_to_fit();
    if (buffer_.size() > 0) {  // it came with the one before
      return begin_head();
    }
    if (!is_first_ && shared_.is_full) {
      return close();  // somebody else waits for a place
    }
    phase_ = Phase::idle;
    pace_.allow(is_first_ ? shared_.limits.head_time : shared_.limits.idle_time);
    is_first_ = false;
    read_some([this] { begin_head(); });
  }

  void begin_head() {
    phase_ = Phase::head;
    pace_.allow(shared_.limits.head_time);
    look_for_head();
  }

  void look_for_head() {
    while (buffer_.size() >= 2 && text().starts_with("\r\n")) {
      buffer_.consume(2);  // before a request line (RFC 9112 2.2)
      scan_ = {};
    }
    const auto found = scan_.find_end(text());
    if (const auto* fault = std::get_if<HeadFault>(&found)) {
      return refuse(*fault);
    }
    if (const auto* size = std::get_if<std::size_t>(&found)) {
      return on_head(*size);
    }
    if (buffer_.size() >= shared_.limits.head_bytes) {
      return refuse(head_fault(boost::beast::http::error::header_limit));
    }
    read_some([this] { look_for_head(); });
  }

  /// @param then called when bytes were added to the buffer; else the connection ends.
  template <class Call>
  void read_some(Call then) {
    const std::size_t most = std::max(first_read, buffer_.capacity() - buffer_.size());
    transport_->read_some(buffer_.prepare(most), [self = shared_from_this(), then](
                                                     const error_code& error, std::size_t count) {
      if (error || !self->is_open()) {
        return;
      }
      self->buffer_.commit(count);
      then();
    });
  }

  void on_head(std::size_t size) {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.limits.head_bytes));
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // the handler's matter
    error_code error;
    buffer_.consume(parser_->put(asio::buffer(buffer_.data(), size), error));
    if (error || !parser_->is_header_done()) {
      return refuse(error ? head_fault(error) : HeadFault{400, "this is no HTTP request"});
    }
    auto head = read_head(*parser_);
    if (const auto* fault = std::get_if<HeadFault>(&head)) {
      return refuse(*fault);
    }
    request_ = std::move(std::get<Request>(head));
    request_.peer = peer_;
    request_.is_secure = transport_->is_secure();
    keeps_alive_ = parser_->keep_alive();
    body_.expect(*parser_);
    hand_over();
  }

  /// What is no request. Where the next one would begin cannot be known.
  void refuse(const HeadFault& fault) {
    request_ = {};
    keeps_alive_ = false;
    respond(plain_reply(fault.status, fault.why));
  }

  void hand_over() {
    phase_ = Phase::working;
    pace_.pause();
    begin_request();
    const auto ask = [this]() -> Answer {
      try {
        return shared_.handler.answer(request_);
      } catch (...) {  // it promises not to, but memory may run out anywhere
        return fault_reply();
      }
    };
    if (shared_.handler.is_quick(request_)) {
      return on_answer(ask());
    }
    work([this, ask]() -> std::function<void()> {
      return [this, answer = std::make_shared<Answer>(ask())] { on_answer(std::move(*answer)); };
    });
  }

  /// Calls `task` on a worker, and what it returns back on this thread. The connection must not end
  /// on another one: so neither keeps it alive, and what does is moved on.
  void work(std::function<std::function<void()>()> task) {
    const bool is_taken =
        shared_.workers.post([self = shared_from_this(), task = std::move(task)]() mutable {
          auto then = self->shared_.is_over ? nullptr : task();
          task = nullptr;
          auto& context = self->loop_.context;
          asio::post(context, [self = std::move(self), then = std::move(then)]() mutable {
            if (self->is_open() && then) {
              then();
            }
          });
        });
    if (!is_taken) {
      respond(busy_reply());
    }
  }

  /// What is counted of requests.
  void begin_request() {
    request_.begun = pace_.since();
    is_counted_ = true;
    loop_.traffic.requests.add(1);
  }
  void end_request() {
    if (is_counted_) {
      is_counted_ = false;
      loop_.traffic.requests.take(1);
    }
  }

  // Bodies.

  void on_answer(Answer answer) {
    if (auto* response = std::get_if<Response>(&answer)) {
      return respond(std::move(*response));
    }
    if (const auto* late = std::get_if<LateAnswer>(&answer)) {
      return await(*late);
    }
    auto receiver = std::move(std::get<std::unique_ptr<BodyReceiver>>(answer));
    if (!expects_continue()) {
      return receive_body(std::move(receiver));
    }
    phase_ = Phase::writing;
    receiver_ = std::move(receiver);
    writer_.send(std::string(go_on), {}, false, [self = shared_from_this()](bool is_complete) {
      auto waiting = std::move(self->receiver_);
      if (is_complete && self->is_open()) {
        self->receive_body(std::move(waiting));
      }
    });
  }

  /// What is left to others to answer. They own nothing of the connection, which may end before.
  void await(const LateAnswer& late) {
    kept_ = shared_from_this();
    const Responder responder([door = loop_.door, weak = weak_from_this()](Response response) {
      const auto shared = std::make_shared<Response>(std::move(response));
      door->post([weak, shared] {
        const auto self = weak.lock();
        if (self && self->kept_) {
          self->kept_.reset();
          self->respond(std::move(*shared));
        }
      });
    });
    late(responder);
  }

  /// Whether the client waits for a word before it sends the body (RFC 9110 10.1.1).
  [[nodiscard]] bool expects_continue() const {
    return body_.is_unread() && buffer_.size() == 0 && !is_version_1_0() &&
           !request_.header("Expect").empty();
  }

  void receive_body(std::unique_ptr<BodyReceiver> receiver) {
    phase_ = Phase::body;
    body_.receive(std::move(receiver),
                  [self = shared_from_this()](BodyReader::End end, std::optional<Response> answer) {
                    if (!self->is_open() || end == BodyReader::End::gone) {
                      return self->close();
                    }
                    return answer ? self->respond(std::move(*answer)) : self->end_body();
                  });
  }

  void end_body() {
    phase_ = Phase::working;
    pace_.pause();
    work([this, receiver = std::shared_ptr<BodyReceiver>(
                    body_.take_receiver())]() mutable -> std::function<void()> {
      auto response = std::make_shared<Response>();
      try {
        *response = receiver->end();
      } catch (...) {
        *response = fault_reply();
      }
      receiver.reset();
      return [this, response] { respond(std::move(*response)); };
    });
  }

  // Answers.

  void respond(Response response) {
    if (!load_small_file(response)) {
      response = fault_reply();
    }
    add_fields(response);
    // Whoever waits for a word before it sends a body may send it or not: nobody knows what comes.
    const bool can_go_on = !body_.is_unread() || (body_.is_little() && !expects_continue());
    // Somebody else may wait for a place, and gets this one.
    keeps_alive_ =
        keeps_alive_ && can_go_on && !response.closes && !shared_.is_stopping && !shared_.is_full;
    status_ = response.status;
    phase_ = Phase::writing;
    std::string head = response_head(response, length_of(response), keeps_alive_, is_version_1_0());
    writer_.send(std::move(head), std::move(response), has_content(request_, status_),
                 [self = shared_from_this()](bool is_complete) { self->on_sent(is_complete); });
  }

  void add_fields(Response& response) const {
    try {
      shared_.handler.complete(request_, response);
    } catch (...) {  // out of memory: it is an answer all the same
    }
  }

  void on_sent(bool is_complete) {
    end_request();
    if (!request_.method.empty()) {
      try {
        shared_.handler.answered(request_, status_, writer_.sent());
      } catch (...) {  // what is only told must not cost the connection
      }
    }
    if (!is_open() || !is_complete) {
      return close();  // never as if the rest had been empty
    }
    if (!keeps_alive_) {
      const bool is_awaited = shared_.is_full || shared_.is_stopping;
      return is_awaited && !body_.is_unread() && buffer_.size() == 0 ? close() : linger();
    }
    return body_.is_unread() ? skip_body() : next_request();
  }

  /// Reads the little that nobody wanted, to get to the next request.
  void skip_body() {
    phase_ = Phase::body;
    body_.receive(
        nullptr, [self = shared_from_this()](BodyReader::End end, const std::optional<Response>&) {
          return end == BodyReader::End::complete && self->is_open() ? self->next_request()
                                                                     : self->close();
        });
  }

  // The end.

  /// A socket that is closed while bytes come is reset, and the client may lose the answer: so
  /// they are thrown away for a while.
  void linger() {
    phase_ = Phase::ending;
    pace_.allow(linger_time);
    transport_->end([self = shared_from_this()](const error_code&, std::size_t) {
      if (self->is_open()) {
        self->buffer_.clear();
        self->throw_away();
      }
    });
  }

  /// Of the socket: TLS has ended.
  void throw_away() {
    transport_->socket().async_read_some(
        buffer_.prepare(unread_block),
        [self = shared_from_this()](const error_code& error, std::size_t count) {
          self->thrown_away_ += count;
          const bool is_enough = error || self->thrown_away_ > most_thrown_away;
          return is_enough || !self->is_open() ? self->close() : self->throw_away();
        });
  }

  [[nodiscard]] bool is_open() const { return phase_ != Phase::closed; }
  [[nodiscard]] bool is_version_1_0() const {
    constexpr unsigned version = 10;
    return parser_ && parser_->is_header_done() && parser_->get().version() == version;
  }
  [[nodiscard]] std::string_view text() const {
    return {static_cast<const char*>(buffer_.data().data()), buffer_.size()};
  }

  std::unique_ptr<Transport> transport_;
  boost::beast::flat_buffer buffer_;
  HeadScan scan_{};
  std::optional<HeadParser> parser_{};
  Pace pace_{};
  BodyReader body_;
  AnswerWriter writer_;
  std::string peer_{};
  Request request_{};
  std::shared_ptr<HttpConnection> kept_{};    ///< itself, while others have to answer
  std::unique_ptr<BodyReceiver> receiver_{};  ///< waits for the client to be told to go on
  std::size_t thrown_away_ = 0;               ///< bytes
  int status_ = 0;                            ///< of the answer
  Phase phase_ = Phase::idle;
  bool keeps_alive_ = false;
  bool is_counted_ = false;  ///< among the requests in progress
  bool is_first_ = true;
};

}  // namespace

Slot::~Slot() {
  if (shared_ == nullptr) {
    return;
  }
  shared_->open.fetch_sub(1);
  if (shared_->is_full.exchange(false)) {
    shared_->has_room();
  }
}

Connection::Connection(Loop& loop, Shared& shared, Slot slot)
    : loop_(loop), shared_(shared), slot_(std::move(slot)) {
  loop_.connections.insert(this);
}

Connection::~Connection() {
  loop_.connections.erase(this);
}

std::shared_ptr<Connection> make_connection(asio::ip::tcp::socket socket,
                                            std::shared_ptr<asio::ssl::context> tls, Loop& loop,
                                            Shared& shared, Slot slot) {
  return std::make_shared<HttpConnection>(make_transport(std::move(socket), std::move(tls)), loop,
                                          shared, std::move(slot));
}

}  // namespace fnimage::server
