// See scripted_server.hpp: blocking sockets, one thread per connection, all of them woken by one
// eventfd at the end.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>
#include <fnimage/test/scripted_server.hpp>

namespace fnimage::test {

namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

const char* reason_of(int status) {
  return status < 400 ? "Fine" : "Not So";
}

/// One connection: reads requests and writes replies until either side ends it.
class Connection {
 public:
  Connection(Socket socket, int stop_fd) : socket_(std::move(socket)), stop_fd_(stop_fd) {}

  std::optional<SeenRequest> read_head() {
    std::size_t end = buffer_.find("\r\n\r\n");
    while (end == std::string::npos) {
      if (!fill()) {
        return std::nullopt;
      }
      end = buffer_.find("\r\n\r\n");
    }
    SeenRequest request = parse(std::string_view(buffer_).substr(0, end));
    buffer_.erase(0, end + 4);
    return request;
  }

  /// @param limit no more than so many bytes.
  bool read_body(SeenRequest& request, std::optional<std::size_t> limit) {
    const std::string length = request.header("Content-Length").value_or("0");
    const std::size_t wanted =
        std::min<std::size_t>(std::strtoull(length.c_str(), nullptr, 10), limit.value_or(SIZE_MAX));
    while (buffer_.size() < wanted) {
      if (!fill()) {
        return false;
      }
    }
    request.body = buffer_.substr(0, wanted);
    buffer_.erase(0, wanted);
    return true;
  }

  /// Until the client has gone or the server stops. Nothing is read meanwhile.
  void wait_for_end() {
    std::array<pollfd, 2> fds{pollfd{socket_.fd(), POLLRDHUP, 0}, pollfd{stop_fd_, POLLIN, 0}};
    ::poll(fds.data(), fds.size(), -1);
  }

  void greet(std::string_view raw) {
    send(raw);
    drain();
  }

  void hang_up() {
    if (fill()) {
      close_hard();
    }
  }

  /// False when the connection is over.
  bool answer(const SeenRequest& request, const Reply& reply) {
    using Fault = Reply::Fault;
    if (reply.fault == Fault::drop || reply.fault == Fault::reset) {
      if (reply.fault == Fault::reset) {
        close_hard();
      }
      return false;
    }
    if (!reply.raw.empty()) {
      send(reply.raw);
      return false;
    }
    if (reply.fault == Fault::stall_head) {
      const std::string head = head_of(reply, request.method == "HEAD");
      if (send(std::string_view(head).substr(0, head.size() / 2))) {
        wait_for_end();
      }
      return false;
    }
    if (reply.fault == Fault::drip) {
      drip(head_of(reply) + reply.body);
      return false;
    }
    if (reply.fault == Fault::drip_body) {
      if (send(head_of(reply))) {
        drip(reply.body);
      }
      return false;
    }
    const bool half = reply.fault == Fault::cut || reply.fault == Fault::stall;
    const std::string_view body(reply.body);
    bool ok = send(head_of(reply, request.method == "HEAD")) &&
              (request.method == "HEAD" ||
               send(half ? body.substr(0, reply.cut_after.value_or(body.size() / 2)) : body));
    if (half && reply.cut_after) {
      close_hard();
    }
    while (ok && reply.fault == Fault::endless) {
      ok = send(body);
    }
    if (reply.fault == Fault::stall) {
      wait_for_end();
    }
    if (reply.fault == Fault::early) {
      drain();
    }
    return ok && reply.fault == Fault::none;
  }

 private:
  /// The connection will end by RST.
  void close_hard() const {
    const linger hard{1, 0};
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }

  static SeenRequest parse(std::string_view head) {
    SeenRequest request;
    const std::vector<std::string_view> lines = split(head, '\n');
    const std::vector<std::string_view> words = split(trim(lines.front()), ' ');
    request.method = words.at(0);
    request.target = words.size() > 1 ? words[1] : "";
    if (request.target.starts_with("http://")) {  // as proxies are asked
      request.target.erase(0, request.target.find('/', std::string_view("http://").size()));
    }
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const std::size_t colon = lines[i].find(':');
      if (colon != std::string_view::npos) {
        request.headers.emplace_back(trim(lines[i].substr(0, colon)),
                                     trim(lines[i].substr(colon + 1)));
      }
    }
    return request;
  }

  /// To a HEAD, a length is told only where the reply says one.
  static std::string head_of(const Reply& reply, bool to_head = false) {
    std::string head =
        "HTTP/1.1 " + std::to_string(reply.status) + " " + reason_of(reply.status) + "\r\n";
    bool has_length = reply.fault == Reply::Fault::endless || (to_head && reply.body.empty());
    for (const auto& [name, value] : reply.headers) {
      head += name + ": " + value + "\r\n";
      has_length = has_length || equals_ignoring_case(name, "Content-Length");
    }
    if (!has_length && reply.status != 204) {
      head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    }
    return head + "\r\n";
  }

  /// Waits until the socket can be used; false when the server stops.
  bool ready(short events) {
    std::array<pollfd, 2> fds{pollfd{socket_.fd(), events, 0}, pollfd{stop_fd_, POLLIN, 0}};
    return ::poll(fds.data(), fds.size(), -1) > 0 && fds[1].revents == 0;
  }

  /// Ends the sending side and waits for the client: closing at once could lose the answer to a
  /// reset.
  void drain() {
    ::shutdown(socket_.fd(), SHUT_WR);
    while (fill()) {
      buffer_.clear();
    }
  }

  void drip(std::string_view bytes) {
    constexpr int pause = 100;  // milliseconds
    pollfd stop{stop_fd_, POLLIN, 0};
    while (!bytes.empty() && send(bytes.substr(0, 1)) && ::poll(&stop, 1, pause) == 0) {
      bytes.remove_prefix(1);
    }
  }

  bool fill() {
    std::array<char, 65536> chunk{};
    if (!ready(POLLIN)) {
      return false;
    }
    const ssize_t count = ::recv(socket_.fd(), chunk.data(), chunk.size(), 0);
    if (count <= 0) {
      return false;
    }
    buffer_.append(chunk.data(), static_cast<std::size_t>(count));
    return true;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!ready(POLLOUT)) {
        return false;
      }
      const ssize_t count =
          ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  Socket socket_;
  int stop_fd_;
  std::string buffer_;
};

}  // namespace

struct ScriptedServer::Impl {
  explicit Impl(Handler given)
      : listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        stop(::eventfd(0, EFD_CLOEXEC)),
        handler(std::move(given)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener.fd() < 0 || stop.fd() < 0 || ::bind(listener.fd(), generic, length) != 0 ||
        ::listen(listener.fd(), 64) != 0 || ::getsockname(listener.fd(), generic, &length) != 0) {
      throw std::runtime_error("the scripted server cannot listen on 127.0.0.1");
    }
    port = ntohs(address.sin_port);
    acceptor = std::jthread([this] { accept_all(); });
  }

  ~Impl() {
    const std::uint64_t one = 1;
    static_cast<void>(::write(stop.fd(), &one, sizeof one) == sizeof one);
    acceptor.join();
    connections.clear();  // joins
  }

  void accept_all() {
    for (;;) {
      std::array<pollfd, 2> fds{pollfd{listener.fd(), POLLIN, 0}, pollfd{stop.fd(), POLLIN, 0}};
      if (::poll(fds.data(), fds.size(), -1) <= 0 || fds[1].revents != 0) {
        return;
      }
      const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) {
        continue;
      }
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const std::size_t number = accepted++;
      connections.emplace_back([this, fd, number] { serve(Socket(fd), number); });
    }
  }

  void serve(Socket socket, std::size_t number) {
    Connection connection(std::move(socket), stop.fd());
    if (const std::string raw = current_greeting(); !raw.empty()) {
      connection.greet(raw);
      return;
    }
    if (hangs_up) {
      connection.hang_up();
      return;
    }
    while (auto request = connection.read_head()) {
      request->connection = number;
      // An early answer must be known before the body is read; only a script can say so.
      const bool early = next_is_early();
      const std::optional<std::size_t> stall = decision_of(*request, staller);
      const std::optional<std::size_t> cut = stall ? stall : decision_of(*request, cutter);
      if (!early && !connection.read_body(*request, cut)) {
        return;
      }
      if (stall) {
        connection.wait_for_end();
      }
      Reply reply = reply_to(*request);
      if (cut) {
        reply.fault = Reply::Fault::reset;
      }
      if (!connection.answer(*request, reply)) {
        return;
      }
    }
  }

  std::string current_greeting() {
    const std::lock_guard lock(mutex);
    return greeting;
  }

  using Decision = std::function<std::optional<std::size_t>(const SeenRequest&)>;

  std::optional<std::size_t> decision_of(const SeenRequest& request, const Decision& decide) {
    const std::lock_guard lock(mutex);
    return decide ? decide(request) : std::nullopt;
  }

  bool next_is_early() {
    const std::lock_guard lock(mutex);
    return !script.empty() && script.front().second.fault == Reply::Fault::early;
  }

  Reply reply_to(const SeenRequest& request) {
    Handler other;
    {
      const std::lock_guard lock(mutex);
      seen.push_back(request);
      if (!script.empty() && script.front().first == request.line()) {
        Reply reply = std::move(script.front().second);
        script.pop_front();
        return reply;
      }
      if (!handler) {
        troubles.push_back("unexpected: " + request.line() +
                           (script.empty() ? "" : ", expected: " + script.front().first));
        return {.status = 599, .body = "not in the script: " + request.line()};
      }
      other = handler;
    }
    return other(request);
  }

  Socket listener;
  Socket stop;
  std::uint16_t port = 0;
  std::atomic<bool> hangs_up = false;
  std::atomic<std::size_t> accepted = 0;
  mutable std::mutex mutex;
  std::deque<std::pair<std::string, Reply>> script;  // guarded by mutex, as the next six
  Handler handler;
  Decision cutter;
  Decision staller;
  std::string greeting;
  std::vector<SeenRequest> seen;
  std::vector<std::string> troubles;
  std::deque<std::jthread> connections;  // the acceptor's own until it has ended
  std::jthread acceptor;
};

std::optional<std::string> SeenRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) {
      return value;
    }
  }
  return std::nullopt;
}

ScriptedServer::ScriptedServer() : ScriptedServer(Handler()) {}

ScriptedServer::ScriptedServer(Handler handler)
    : impl_(std::make_unique<Impl>(std::move(handler))) {}

ScriptedServer::~ScriptedServer() = default;

ScriptedServer& ScriptedServer::expect(std::string line, Reply reply) {
  const std::lock_guard lock(impl_->mutex);
  impl_->script.emplace_back(std::move(line), std::move(reply));
  return *this;
}

void ScriptedServer::otherwise(Handler handler) {
  const std::lock_guard lock(impl_->mutex);
  impl_->handler = std::move(handler);
}

void ScriptedServer::cut_bodies(
    std::function<std::optional<std::size_t>(const SeenRequest&)> decide) {
  const std::lock_guard lock(impl_->mutex);
  impl_->cutter = std::move(decide);
}

void ScriptedServer::stall_bodies(
    std::function<std::optional<std::size_t>(const SeenRequest&)> decide) {
  const std::lock_guard lock(impl_->mutex);
  impl_->staller = std::move(decide);
}

void ScriptedServer::greet(std::string raw) {
  const std::lock_guard lock(impl_->mutex);
  impl_->greeting = std::move(raw);
}

void ScriptedServer::hang_up() {
  impl_->hangs_up = true;
}

std::size_t ScriptedServer::connections() const {
  return impl_->accepted;
}

std::string ScriptedServer::address() const {
  return "127.0.0.1:" + std::to_string(impl_->port);
}

std::string ScriptedServer::url(std::string_view target) const {
  return "http://" + address() + std::string(target);
}

std::vector<SeenRequest> ScriptedServer::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->seen;
}

std::vector<std::string> ScriptedServer::lines() const {
  std::vector<std::string> result;
  for (const SeenRequest& request : requests()) {
    result.push_back(request.line());
  }
  return result;
}

std::vector<std::string> ScriptedServer::problems() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<std::string> result = impl_->troubles;
  for (const auto& [line, reply] : impl_->script) {
    result.push_back("never asked: " + line);
  }
  return result;
}

}  // namespace fnimage::test
