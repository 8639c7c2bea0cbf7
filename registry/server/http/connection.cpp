#include "http/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <fmt/format.h>
#include <sys/sendfile.h>

#include "http/head.hpp"

namespace fnimage::server {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using TcpSocket = asio::ip::tcp::socket;
using TlsStream = asio::ssl::stream<TcpSocket>;

constexpr std::size_t first_read = std::size_t{4} << 10U;     // what an idle connection keeps
constexpr std::size_t body_block = std::size_t{256} << 10U;   // while a body is read
constexpr std::size_t file_block = std::size_t{128} << 10U;   // of a file over TLS
constexpr std::size_t small_file = std::size_t{32} << 10U;    // sent together with the head
constexpr std::size_t sendfile_turn = std::size_t{4} << 20U;  // before others have theirs
constexpr std::uint64_t small_unread = std::uint64_t{64} << 10U;
constexpr std::chrono::seconds linger_time{5};
constexpr std::size_t most_thrown_away = std::size_t{16} << 20U;
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

Response plain_reply(int status, std::string_view why) {
  Response response{.status = status};
  response.headers.push_back({"Content-Type", "text/plain"});
  response.body = std::string(why) + "\n";
  response.closes = true;
  return response;
}

Response busy_reply() {
  constexpr int busy = 503;
  Response response = plain_reply(busy, "too many requests at once");
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

Response fault_reply() {
  constexpr int internal = 500;
  return plain_reply(internal, "the server has failed");
}

/// Handlers promise not to throw, but memory may run out anywhere.
template <class Call>
auto guarded(Call call) -> decltype(call()) {
  try {
    return call();
  } catch (...) {
    return fault_reply();
  }
}

/// Of a body: its bytes in memory.
std::string_view text_of(const Response& response) {
  if (const auto* text = std::get_if<std::string>(&response.body)) {
    return *text;
  }
  const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&response.body);
  return shared == nullptr || *shared == nullptr ? std::string_view() : std::string_view(**shared);
}

std::uint64_t length_of(const Response& response) {
  const auto* slice = std::get_if<FileSlice>(&response.body);
  return slice != nullptr ? slice->size : text_of(response).size();
}

/// Reads a small file, so that it goes out together with the head. False: it could not be read.
bool load_small_file(Response& response) {
  const auto* slice = std::get_if<FileSlice>(&response.body);
  if (slice == nullptr || slice->size > small_file) {
    return true;
  }
  std::string text(slice->size, '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const auto count = slice->file->read(slice->offset + done,
                                         std::as_writable_bytes(std::span(text)).subspan(done));
    if (!count || *count == 0) {
      return false;
    }
    done += *count;
  }
  response.body = std::move(text);
  return true;
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

template <class Stream>
class StreamConnection final : public Connection,
                               public std::enable_shared_from_this<StreamConnection<Stream>> {
  static constexpr bool is_tls = std::is_same_v<Stream, TlsStream>;

 public:
  template <class... Arguments>
  StreamConnection(Loop& loop, Shared& shared, Slot slot, std::shared_ptr<asio::ssl::context> tls,
                   Arguments&&... arguments)
      : Connection(loop, shared, std::move(slot)),
        tls_(std::move(tls)),
        stream_(std::forward<Arguments>(arguments)...),
        buffer_(shared.limits.head_bytes + 2 * first_read) {}

  void begin() override {
    error_code ignored;
    socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    socket().native_non_blocking(true, ignored);
    const auto endpoint = socket().remote_endpoint(ignored);
    peer_ = fmt::format("{}:{}", endpoint.address().to_string(ignored), endpoint.port());
    if constexpr (is_tls) {
      enter(Phase::handshake, shared_.limits.head_time);
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code error) {
                                if (!error && self->is_open()) {
                                  self->next_request();
                                }
                              });
    } else {
      next_request();
    }
  }

  void check(Clock::time_point now) override {
    if (phase_ == Phase::working || phase_ == Phase::closed) {
      return;
    }
    if (phase_ != Phase::body && phase_ != Phase::writing) {
      if (now >= deadline_) {
        close();
      }
      return;
    }
    if (now - window_ < shared_.limits.stall_time) {
      return;
    }
    if (progress_ < shared_.limits.stall_bytes) {
      return close();
    }
    window_ = now;
    progress_ = 0;
  }

  void close() override {
    enter(Phase::closed, {});
    error_code ignored;
    socket().close(ignored);
  }

  [[nodiscard]] bool is_idle() const override { return phase_ == Phase::idle; }
  [[nodiscard]] bool has_request() const override {
    return phase_ == Phase::working || phase_ == Phase::body || phase_ == Phase::writing ||
           phase_ == Phase::ending;
  }
  [[nodiscard]] Clock::time_point since() const override { return since_; }

 private:
  // Requests.

  void next_request() {
    if (shared_.is_stopping) {
      return close();  // it has its answer, and nothing of it is unread
    }
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(shared_.limits.head_bytes + first_read));
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // the handler's matter
    if (buffer_.size() > 0) {                                        // it came with the one before
      return receive_head();
    }
    buffer_.shrink_to_fit();
    enter(Phase::idle, is_first_ ? shared_.limits.head_time : shared_.limits.idle_time);
    is_first_ = false;
    stream_.async_read_some(buffer_.prepare(first_read),
                            [self = this->shared_from_this()](error_code error, std::size_t count) {
                              if (!error && self->is_open()) {
                                self->buffer_.commit(count);
                                self->receive_head();
                              }
                            });
  }

  /// Looks for the end of the head in what has come. The parser would take lines that are folded,
  /// or that end in a bare line feed, which others read as other lines (RFC 9112 2.2, 5.2).
  void receive_head() {
    if (phase_ != Phase::head) {
      enter(Phase::head, shared_.limits.head_time);
    }
    const HeadScan scan = scan_head(buffered());
    buffer_.consume(scan.empty_lines);
    if (scan.is_bad) {
      return on_head(http::error::bad_line_ending);
    }
    if (scan.size == 0) {
      return buffer_.size() > shared_.limits.head_bytes ? on_head(http::error::header_limit)
                                                        : receive_more_head();
    }
    error_code error;
    const std::size_t used = parser_->put(asio::buffer(buffered().data(), scan.size), error);
    buffer_.consume(used);
    on_head(error);
  }

  void receive_more_head() {
    stream_.async_read_some(buffer_.prepare(first_read),
                            [self = this->shared_from_this()](error_code error, std::size_t count) {
                              if (!error && self->is_open()) {
                                self->buffer_.commit(count);
                                self->receive_head();
                              }
                            });
  }

  [[nodiscard]] std::string_view buffered() const {
    return {static_cast<const char*>(buffer_.data().data()), buffer_.size()};
  }

  void on_head(error_code error) {
    request_ = {};
    has_unread_ = true;
    keeps_alive_ = false;
    if (error) {
      const HeadFault fault = head_fault(error);
      return fault.status == 0 ? linger() : respond(plain_reply(fault.status, fault.why));
    }
    auto head = read_head(*parser_);
    if (const auto* fault = std::get_if<HeadFault>(&head)) {
      return respond(plain_reply(fault->status, fault->why));
    }
    request_ = std::move(std::get<Request>(head));
    request_.peer = peer_;
    request_.is_secure = is_tls;
    has_unread_ = request_.has_body;
    keeps_alive_ = parser_->keep_alive();
    hand_over();
  }

  void hand_over() {
    enter(Phase::working, {});
    const auto ask = [this]() -> Answer { return shared_.handler.answer(request_); };
    const auto ask_guarded = [ask]() -> Answer {
      try {
        return ask();
      } catch (...) {
        return fault_reply();
      }
    };
    if (shared_.handler.is_quick(request_)) {
      return on_answer(ask_guarded());
    }
    work([this, ask_guarded] {
      return [this, answer = std::make_shared<Answer>(ask_guarded())] {
        on_answer(std::move(*answer));
      };
    });
  }

  /// Calls `task` on a worker, and what it returns back on this thread. The connection must not end
  /// on another one: so neither keeps it alive, and what does is moved on.
  template <class Task>
  void work(Task task) {
    const bool is_taken =
        shared_.workers.post([self = this->shared_from_this(), task = std::move(task)]() mutable {
          auto then = task();
          auto& context = self->loop_.context;
          asio::post(context, [self = std::move(self), then = std::move(then)]() mutable {
            if (self->is_open()) {
              then();
            }
          });
        });
    if (!is_taken) {
      receiver_.reset();
      respond(busy_reply());
    }
  }

  void on_answer(Answer answer) {
    if (auto* response = std::get_if<Response>(&answer)) {
      return respond(std::move(*response));
    }
    receiver_ = std::move(std::get<std::unique_ptr<BodyReceiver>>(answer));
    if (request_.has_body && !request_.header("Expect").empty()) {
      enter_transfer(Phase::writing);
      return asio::async_write(stream_, asio::buffer(go_on),
                               [self = this->shared_from_this()](error_code error, std::size_t) {
                                 if (!error && self->is_open()) {
                                   self->receive_body();
                                 }
                               });
    }
    receive_body();
  }

  // Bodies.

  void receive_body() {
    enter_transfer(Phase::body);
    if (parser_->chunked()) {
      return receive_chunked();
    }
    remaining_ = request_.content_length.value_or(0);
    const std::size_t count = std::min<std::uint64_t>(buffer_.size(), remaining_);
    if (count > 0) {
      const bool goes_on =
          deliver(Bytes(static_cast<const std::byte*>(buffer_.data().data()), count));
      buffer_.consume(count);
      remaining_ -= count;
      if (!goes_on) {
        return;
      }
    }
    receive_fixed();
  }

  void receive_fixed() {
    if (remaining_ == 0) {
      return end_body();
    }
    const std::size_t most = std::min<std::uint64_t>(remaining_, body_block);
    stream_.async_read_some(asio::buffer(block().data(), most),
                            [self = this->shared_from_this()](error_code error, std::size_t count) {
                              if (error || !self->is_open()) {
                                return self->abandon();
                              }
                              self->remaining_ -= count;
                              if (self->deliver(Bytes(self->block_).first(count))) {
                                self->receive_fixed();
                              }
                            });
  }

  void receive_chunked() {
    if (parser_->is_done()) {
      return end_body();
    }
    auto& body = parser_->get().body();
    body.data = block().data();
    body.size = block_.size();
    http::async_read_some(stream_, buffer_, *parser_,
                          [self = this->shared_from_this()](error_code error, std::size_t count) {
                            self->on_chunk(error, count);
                          });
  }

  void on_chunk(error_code error, std::size_t count) {
    if (!is_open()) {
      return abandon();
    }
    progress_ += count;  // also of what is no content
    const std::size_t got = block_.size() - parser_->get().body().size;
    if (error == http::error::need_buffer) {
      error = {};
    }
    if (error) {
      receiver_.reset();
      const HeadFault fault = head_fault(error);
      return fault.status == 0 ? linger() : respond(plain_reply(fault.status, fault.why));
    }
    if (got == 0 || deliver(Bytes(block_).first(got))) {
      receive_chunked();
    }
  }

  /// False: the request was answered.
  bool deliver(Bytes bytes) {
    progress_ += bytes.size();
    auto early = guarded_write(bytes);
    if (!early) {
      return true;
    }
    receiver_.reset();
    respond(std::move(*early));
    return false;
  }

  std::optional<Response> guarded_write(Bytes bytes) {
    try {
      return receiver_->write(bytes);
    } catch (...) {
      return fault_reply();
    }
  }

  void end_body() {
    release_block();
    has_unread_ = false;
    enter(Phase::working, {});
    work([this, receiver = std::shared_ptr<BodyReceiver>(std::move(receiver_))]() mutable {
      auto response = std::make_shared<Response>(guarded([&] { return receiver->end(); }));
      receiver.reset();
      return [this, response] { respond(std::move(*response)); };
    });
  }

  /// The client has gone.
  void abandon() {
    receiver_.reset();
    release_block();
  }

  // Answers.

  void respond(Response response) {
    release_block();
    response_ = std::move(response);
    const bool is_file_gone = !load_small_file(response_);
    if (is_file_gone) {
      response_ = fault_reply();
    }
    const bool can_skip =
        !has_unread_ || (request_.content_length.value_or(small_unread + 1) <= small_unread &&
                         request_.header("Expect").empty());
    // Somebody else waits for a place, and gets this one.
    const bool is_wanted = !shared_.is_full;
    keeps_alive_ =
        keeps_alive_ && can_skip && is_wanted && !response_.closes && !shared_.is_stopping;
    constexpr unsigned version_1_0 = 10;
    head_ = response_head(response_, length_of(response_), keeps_alive_,
                          parser_->get().version() == version_1_0);
    send_head();
  }

  void send_head() {
    enter_transfer(Phase::writing);
    const std::string_view text = has_body_to_send() ? text_of(response_) : std::string_view();
    const std::array<asio::const_buffer, 2> buffers{asio::buffer(head_), asio::buffer(text)};
    auto self = this->shared_from_this();
    asio::async_write(
        stream_, buffers,
        [self](const error_code& error, std::size_t count) {
          self->progress_ =
              count;  // of this window and those before: good enough for what is small
          return error ? std::size_t{0} : file_block;
        },
        [self](error_code error, std::size_t count) {
          const std::size_t sent = count - std::min(count, self->head_.size());
          self->on_head_sent(error, sent);
        });
  }

  [[nodiscard]] bool has_body_to_send() const {
    constexpr int no_content = 204;
    constexpr int not_modified = 304;
    return request_.method != "HEAD" && response_.status != no_content &&
           response_.status != not_modified;
  }

  void on_head_sent(error_code error, std::size_t sent) {
    sent_ = sent;
    const auto* slice = std::get_if<FileSlice>(&response_.body);
    if (error || !is_open() || slice == nullptr || !has_body_to_send()) {
      return on_sent(!error);
    }
    window_ = Clock::now();
    progress_ = 0;
    if constexpr (is_tls) {
      send_block();
    } else {
      send_file();
    }
  }

  /// Straight from the page cache to the socket.
  void send_file() {
    const FileSlice& slice = std::get<FileSlice>(response_.body);
    std::size_t turn = 0;
    while (sent_ < slice.size && turn < sendfile_turn) {
      auto offset = static_cast<off_t>(slice.offset + sent_);
      const std::size_t most = std::min<std::uint64_t>(slice.size - sent_, sendfile_turn - turn);
      const ssize_t count =
          ::sendfile(socket().native_handle(), slice.file->descriptor(), &offset, most);
      if (count > 0) {
        turn += static_cast<std::size_t>(count);
        sent_ += static_cast<std::uint64_t>(count);
        progress_ += static_cast<std::uint64_t>(count);
        continue;
      }
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count < 0 && errno == EAGAIN) {
        break;
      }
      return on_sent(false);  // the client has gone, or the file is shorter than it was
    }
    if (sent_ == slice.size) {
      return on_sent(true);
    }
    socket().async_wait(TcpSocket::wait_write, [self = this->shared_from_this()](error_code error) {
      return error || !self->is_open() ? self->on_sent(false) : self->send_file();
    });
  }

  void send_block() {
    const FileSlice& slice = std::get<FileSlice>(response_.body);
    if (sent_ == slice.size) {
      return on_sent(true);
    }
    const std::size_t most = std::min<std::uint64_t>(slice.size - sent_, file_block);
    const auto count = slice.file->read(slice.offset + sent_, MutableBytes(block()).first(most));
    if (!count || *count == 0) {
      return on_sent(false);
    }
    asio::async_write(stream_, asio::buffer(block_.data(), *count),
                      [self = this->shared_from_this()](error_code error, std::size_t written) {
                        self->sent_ += written;
                        self->progress_ += written;
                        return error || !self->is_open() ? self->on_sent(false)
                                                         : self->send_block();
                      });
  }

  void on_sent(bool is_complete) {
    release_block();
    if (!request_.method.empty()) {
      try {
        shared_.handler.answered(request_, response_.status, sent_);
      } catch (...) {  // what is only told must not cost the connection
      }
    }
    response_ = {};
    if (!is_open()) {
      return;
    }
    if (!is_complete) {
      return close();  // never as if the rest had been empty
    }
    if (!keeps_alive_) {
      return linger();
    }
    skip_unread();
  }

  /// Reads the small body that nobody wanted, to get to the next request.
  void skip_unread() {
    if (!has_unread_) {
      return next_request();
    }
    receiver_ = std::make_unique<Discard>();
    remaining_ = request_.content_length.value_or(0);
    enter_transfer(Phase::body);
    skip_rest();
  }

  void skip_rest() {
    const std::size_t count = std::min<std::uint64_t>(buffer_.size(), remaining_);
    buffer_.consume(count);
    remaining_ -= count;
    if (remaining_ == 0) {
      receiver_.reset();
      return next_request();
    }
    stream_.async_read_some(buffer_.prepare(first_read),
                            [self = this->shared_from_this()](error_code error, std::size_t got) {
                              if (!error && self->is_open()) {
                                self->progress_ += got;
                                self->buffer_.commit(got);
                                self->skip_rest();
                              }
                            });
  }

  // The end.

  /// A socket that is closed while bytes come is reset, and the client may lose the answer: so
  /// they are thrown away for a while.
  void linger() {
    receiver_.reset();
    enter(Phase::ending, linger_time);
    if constexpr (is_tls) {
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->throw_away(); });
    } else {
      error_code ignored;
      socket().shutdown(TcpSocket::shutdown_send, ignored);
      throw_away();
    }
  }

  /// Of the socket: TLS ends with the first that comes after its end.
  void throw_away() {
    if (!is_open() || thrown_away_ > most_thrown_away) {
      return;
    }
    buffer_.clear();
    socket().async_read_some(buffer_.prepare(first_read), [self = this->shared_from_this()](
                                                              error_code error, std::size_t count) {
      self->thrown_away_ += count;
      if (!error) {
        self->throw_away();
      }
    });
  }

  struct Discard final : BodyReceiver {
    std::optional<Response> write(Bytes) override { return std::nullopt; }
    Response end() override { return {}; }
  };

  TcpSocket& socket() {
    if constexpr (is_tls) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  std::vector<std::byte>& block() {
    if (block_.empty()) {
      block_.resize(body_block);
    }
    return block_;
  }
  void release_block() { std::vector<std::byte>().swap(block_); }

  [[nodiscard]] bool is_open() const { return phase_ != Phase::closed; }
  void enter(Phase phase, std::chrono::seconds limit) {
    phase_ = phase;
    since_ = Clock::now();
    deadline_ = since_ + limit;
  }
  void enter_transfer(Phase phase) {
    enter(phase, {});
    window_ = since_;
    progress_ = 0;
  }

  std::shared_ptr<asio::ssl::context> tls_;  // before the stream, which uses it
  Stream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<HeadParser> parser_{};
  std::string peer_{};
  Request request_{};
  std::unique_ptr<BodyReceiver> receiver_{};
  std::vector<std::byte> block_{};
  std::uint64_t remaining_ = 0;  ///< of the body, to be read
  Response response_{};
  std::string head_{};
  std::uint64_t sent_ = 0;  ///< of the answer's body
  Phase phase_ = Phase::idle;
  Clock::time_point since_{};
  Clock::time_point deadline_{};
  Clock::time_point window_{};  ///< since when progress is counted
  std::uint64_t progress_ = 0;  ///< bytes
  bool has_unread_ = false;     ///< the body, or a part of it, has not been read
  bool keeps_alive_ = false;
  bool is_first_ = true;
  std::size_t thrown_away_ = 0;
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

std::shared_ptr<Connection> make_connection(TcpSocket socket,
                                            std::shared_ptr<asio::ssl::context> tls, Loop& loop,
                                            Shared& shared, Slot slot) {
  if (tls == nullptr) {
    return std::make_shared<StreamConnection<TcpSocket>>(loop, shared, std::move(slot), nullptr,
                                                         std::move(socket));
  }
  auto& context = *tls;
  return std::make_shared<StreamConnection<TlsStream>>(loop, shared, std::move(slot),
                                                       std::move(tls), std::move(socket), context);
}

}  // namespace fnimage::server
