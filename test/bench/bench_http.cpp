// A client for benchmarks of small requests: some connections with keep-alive, each of which sends
// its next request when it has the answer to the last one. One thread, so that the server has the
// rest of the machine. It can do what wrk cannot: HEAD, bodies that are all different, and answers
// that cost next to nothing however large they are, since the kernel throws their bodies away.
//
//   bench_http PORT METHOD PATH CONNECTIONS SECONDS [FIELD…] [< BODY]
//
// In the path '@' is the connection's number; in the body a run of 16 '@' is the request's number.
// A connection whose answer comes after the seconds is done, so with 0 of them each asks once.
// Prints: requests, seconds, p50 and p99 in microseconds. Any status but 2xx ends it with an error.
#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::string_view placeholder = "@@@@@@@@@@@@@@@@";

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_http: %s\n", why.c_str());
  std::exit(1);
}

struct Connection {
  int socket = -1;
  std::string request{};      // with a placeholder in its body, or without
  std::size_t number_at = 0;  // of the placeholder; npos = none
  std::string head{};         // what has come of the answer's
  std::size_t missing = 0;    // bytes of its body, once its head is there
  bool has_head = false;
  Clock::time_point begin{};
};

int connect_to(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the interface of sockets
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    give_up(std::string("connect: ") + std::strerror(errno));
  }
  return socket;
}

class Load {
 public:
  Load(std::string method, double seconds) : method_(std::move(method)), seconds_(seconds) {}

  void add(int port, std::string request) {
    const std::size_t at = request.find(placeholder);
    connections_.push_back(
        {.socket = connect_to(port), .request = std::move(request), .number_at = at});
  }

  void run() {
    const int poll = ::epoll_create1(EPOLL_CLOEXEC);
    begin_ = Clock::now();
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
      ::epoll_ctl(poll, EPOLL_CTL_ADD, connections_[i].socket, &event);
      send_next(connections_[i]);
    }
    std::array<epoll_event, 64> events{};
    while (active_ > 0) {
      const int count = ::epoll_wait(poll, events.data(), events.size(), 30'000);
      if (count == 0) {
        give_up("no answer for 30 seconds");
      }
      for (int i = 0; i < count; ++i) {
        receive(connections_[events[static_cast<std::size_t>(i)].data.u64]);
      }
    }
    report();
  }

 private:
  void send_next(Connection& connection) {
    if (connection.number_at != std::string::npos) {
      std::array<char, placeholder.size() + 1> number{};
      std::snprintf(number.data(), number.size(), "%016zu", ++number_);
      connection.request.replace(connection.number_at, placeholder.size(), number.data());
    }
    connection.head.clear();
    connection.has_head = false;
    connection.begin = Clock::now();
    std::string_view rest = connection.request;
    while (!rest.empty()) {
      const ssize_t count = ::send(connection.socket, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (count < 0) {
        give_up(std::string("send: ") + std::strerror(errno));
      }
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
    ++active_;
  }

  void receive(Connection& connection) {
    connection.has_head ? skip_body(connection) : read_head(connection);
    if (!connection.has_head || connection.missing > 0) {
      return;
    }
    const auto now = Clock::now();
    times_.push_back(std::chrono::duration<double, std::micro>(now - connection.begin).count());
    --active_;
    if (std::chrono::duration<double>(now - begin_).count() < seconds_) {
      send_next(connection);
    }
  }

  static std::size_t checked(ssize_t count) {
    if (count <= 0) {
      give_up("the server closed a connection");
    }
    return static_cast<std::size_t>(count);
  }

  /// Of what is there, without a copy.
  static void skip_body(Connection& connection) {
    constexpr std::size_t at_once = 16 << 20;
    const std::size_t wanted = std::min(connection.missing, at_once);
    connection.missing -= checked(::recv(connection.socket, nullptr, wanted, MSG_TRUNC));
  }

  /// With the part of the body that came in the same piece.
  void read_head(Connection& connection) const {
    std::array<char, 4096> buffer{};
    const std::size_t count = checked(::recv(connection.socket, buffer.data(), buffer.size(), 0));
    connection.head.append(buffer.data(), count);
    const std::size_t end = connection.head.find("\r\n\r\n");
    if (end == std::string::npos) {
      return;
    }
    const std::string_view head = std::string_view(connection.head).substr(0, end);
    if (!head.starts_with("HTTP/1.1 2")) {
      give_up(connection.head);
    }
    connection.has_head = true;
    const std::size_t body = connection.head.size() - end - 4;
    const std::size_t length = method_ == "HEAD" ? 0 : length_in(head);
    if (body > length) {
      give_up("an answer is longer than it says");
    }
    connection.missing = length - body;
  }

  static std::size_t length_in(std::string_view head) {
    constexpr std::string_view name = "\r\nContent-Length:";
    const auto found =
        std::search(head.begin(), head.end(), name.begin(), name.end(), [](char a, char b) {
          return std::tolower(static_cast<unsigned char>(a)) ==
                 std::tolower(static_cast<unsigned char>(b));
        });
    if (found == head.end()) {
      return 0;
    }
    return std::strtoul(
        std::string(found + static_cast<std::ptrdiff_t>(name.size()), head.end()).c_str(), nullptr,
        10);
  }

  void report() {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    std::sort(times_.begin(), times_.end());
    const auto at = [&](std::size_t percent) {
      return times_[(times_.size() - 1) * percent / 100];
    };
    std::printf("%zu %.6f %.1f %.1f\n", times_.size(), seconds, at(50), at(99));
  }

  std::string method_;
  double seconds_;
  Clock::time_point begin_{};
  std::vector<Connection> connections_{};
  std::vector<double> times_{};  // microseconds
  std::size_t number_ = 0;
  std::size_t active_ = 0;
};

std::string read_all(std::FILE* file) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), file)) {
    text.append(buffer.data(), count);
  }
  return text;
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  if (arguments.size() < 5) {
    give_up("PORT METHOD PATH CONNECTIONS SECONDS [FIELD…] [< BODY]");
  }
  const std::string& method = arguments[1];
  const std::string body = method == "PUT" ? read_all(stdin) : "";
  Load load(method, std::stod(arguments[4]));
  for (int i = 0; i < std::stoi(arguments[3]); ++i) {
    std::string path = arguments[2];
    if (const std::size_t at = path.find('@'); at != std::string::npos) {
      path.replace(at, 1, std::to_string(i));
    }
    std::string request =
        method + " " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + arguments[0] + "\r\n";
    for (std::size_t field = 5; field < arguments.size(); ++field) {
      request += arguments[field] + "\r\n";
    }
    if (method == "PUT") {
      request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    load.add(std::stoi(arguments[0]), request + "\r\n" + body);
  }
  load.run();
  return 0;
}
