#include "http/http_server.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <latch>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "http/connection.hpp"
#include "http/tls_context.hpp"

namespace fnimage::server {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds longest_tick{500};
constexpr std::chrono::milliseconds accept_pause{100};  // when there are no descriptors left
constexpr std::chrono::milliseconds drain_poll{10};
constexpr std::chrono::milliseconds shortest_tick{10};

/// A peer that has gone is an error of sendfile(), not the death of the program.
void ignore_pipe_signal() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Error listen_error(const error_code& error, const std::string& where) {
  const std::string message = fmt::format("cannot listen on {}: {}", where, error.message());
  switch (error.value()) {
    case EADDRINUSE:
      return Error(ErrorCode::unavailable, message)
          .with_hint(
              "another program listens there (ss -ltnp shows which): end it, or name another port, "
              "or 0 for any");
    case EACCES:
      return Error(ErrorCode::permission_denied, message)
          .with_hint("ports below 1024 need root or CAP_NET_BIND_SERVICE");
    default:
      return Error(ErrorCode::unavailable, message)
          .with_hint("the address must be one of this machine's: 127.0.0.1, or :: for all");
  }
}

std::vector<std::unique_ptr<Loop>> make_loops(std::size_t most) {
  const std::size_t count = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1,
                                                    std::max<std::size_t>(most, 1));
  std::vector<std::unique_ptr<Loop>> loops;
  for (std::size_t i = 0; i < count; ++i) {
    loops.push_back(std::make_unique<Loop>());
  }
  return loops;
}

/// All addresses, with IPv4's where this machine has them in one socket.
Result<void> open_listener(tcp::acceptor& acceptor, const std::string& address,
                           std::uint16_t port) {
  error_code error;
  const auto parsed = asio::ip::make_address(address, error);
  if (error) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no numeric address", printable(address)),
                "write 127.0.0.1, ::1, or :: for all");
  }
  tcp::endpoint endpoint(parsed, port);
  acceptor.open(endpoint.protocol(), error);
  if (error && parsed.is_v6() && parsed.is_unspecified()) {  // IPv6 is switched off
    endpoint = tcp::endpoint(asio::ip::address_v4::any(), port);
    acceptor.open(endpoint.protocol(), error);
  }
  if (!error && endpoint.address().is_v6()) {
    error_code ignored;
    acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), ignored);
  }
  if (!error) {
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  }
  if (!error) {
    acceptor.bind(endpoint, error);
  }
  if (!error) {
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    const bool is_v6 = address.find(':') != std::string::npos;
    const std::string host = is_v6 ? "[" + address + "]" : address;
    return fail(listen_error(error, fmt::format("{}:{}", host, port)));
  }
  return {};
}

class BeastServer final : public HttpServer {
 public:
  BeastServer(Handler& handler, const HttpLimits& limits)
      : shared_{.handler = handler,
                .limits = limits,
                .workers = Workers(limits.workers, limits.waiting)} {
    shared_.has_room = [this] { asio::post(first(), [this] { admit(); }); };
  }

  ~BeastServer() override { shared_.workers.join(); }

  Result<void> open(const std::string& address, std::uint16_t port,
                    const std::optional<TlsFiles>& tls) {
    if (tls) {
      FNIMAGE_TRY(tls_, TlsContext::load(*tls));
    }
    FNIMAGE_CHECK(open_listener(acceptor_, address, port));
    error_code error;
    port_ = acceptor_.local_endpoint(error).port();
    return {};
  }

  [[nodiscard]] std::uint16_t port() const noexcept override { return port_; }
  [[nodiscard]] std::size_t connections() const noexcept override { return shared_.open; }

  [[nodiscard]] HttpLoad load() const noexcept override {
    HttpLoad load{.connections = shared_.open};
    for (const auto& loop : loops_) {
      load.requests += loop->traffic.requests.value();
      load.received_bytes += loop->traffic.received.value();
      load.sent_bytes += loop->traffic.sent.value();
    }
    return load;
  }

  Result<void> reload_certificate() override {
    return tls_ == nullptr ? Result<void>() : tls_->reload();
  }

  void stop() override {
    shared_.is_stopping = true;
    shared_.is_stopping.notify_all();
  }

  void run() override {
    accept();
    std::vector<std::jthread> threads;
    for (const auto& loop : loops_) {
      tick(*loop);
      threads.emplace_back([&loop] { run_loop(*loop); });
    }
    shared_.is_stopping.wait(false);
    drain();
    threads.clear();  // joined: nothing is left that they could do
  }

 private:
  asio::io_context& first() { return loops_.front()->context; }

  static void run_loop(Loop& loop) {
    ignore_pipe_signal();
    while (!loop.context.stopped()) {
      try {
        loop.context.run();
      } catch (...) {  // out of memory: the connection whose turn it was ends
      }
    }
  }

  // Times.

  [[nodiscard]] std::chrono::milliseconds tick_time() const {
    const auto& limits = shared_.limits;
    const std::chrono::milliseconds shortest =
        std::min({limits.head_time, limits.idle_time, limits.stall_time});
    return std::clamp(shortest / 4, shortest_tick, longest_tick);
  }

  /// Looks at all connections of a loop now and then: cheaper than a timer for each.
  void tick(Loop& loop) {
    loop.clock.expires_after(tick_time());
    loop.clock.async_wait([this, &loop](const error_code& error) {
      // At the end it may have been due already when it was cancelled, and would go on for ever.
      if (error || shared_.is_over) {
        return;
      }
      const auto now = Pace::Clock::now();
      for_each(loop, [now](Connection& connection) { connection.check(now); });
      tick(loop);
    });
  }

  /// Connections may end meanwhile.
  template <class Call>
  static void for_each(Loop& loop, Call call) {
    const std::vector<Connection*> all(loop.connections.begin(), loop.connections.end());
    for (Connection* connection : all) {
      if (loop.connections.contains(connection)) {
        call(*connection);
      }
    }
  }

  // New connections.

  void accept() {
    if (!acceptor_.is_open()) {
      return;
    }
    Loop& loop = *loops_[next_++ % loops_.size()];
    acceptor_.async_accept(loop.context, [this, &loop](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) {
        return;
      }
      if (error) {
        return accept_later();
      }
      newest_.emplace(std::move(socket), loop);
      admit();
    });
  }

  /// Begins the connection that was accepted last, as soon as there is room.
  void admit() {
    if (!newest_ || shared_.is_stopping) {
      return;
    }
    if (shared_.open >= shared_.limits.connections) {
      return make_room();
    }
    Loop& loop = newest_->second;
    asio::post(loop.context,
               [this, &loop, socket = std::move(newest_->first), slot = Slot(shared_)]() mutable {
                 const auto tls = tls_ == nullptr ? nullptr : tls_->current();
                 make_connection(std::move(socket), tls, loop, shared_, std::move(slot))->begin();
               });
    newest_.reset();
    accept();
  }

  void accept_later() {
    pause_.expires_after(accept_pause);
    pause_.async_wait([this](const error_code& error) {
      if (!error) {
        accept();
      }
    });
  }

  /// New clients come in the place of those that have nothing to ask, or wait until one ends.
  void make_room() {
    shared_.is_full = true;
    for (const auto& loop : loops_) {
      asio::post(loop->context, [&loop = *loop] { close_longest_idle(loop); });
    }
    if (shared_.open < shared_.limits.connections && shared_.is_full.exchange(false)) {
      admit();  // one ended just before it was said that somebody waits
    }
  }

  static void close_longest_idle(Loop& loop) {
    Connection* longest = nullptr;
    for (Connection* connection : loop.connections) {
      if (connection->is_idle() && (longest == nullptr || connection->since() < longest->since())) {
        longest = connection;
      }
    }
    if (longest != nullptr) {
      longest->close();
    }
  }

  // The end.

  void drain() {
    std::latch has_closed(1);
    asio::post(first(), [&] {
      error_code ignored;
      acceptor_.close(ignored);
      newest_.reset();
      pause_.cancel();
      has_closed.count_down();
    });
    has_closed.wait();  // none begins from here on
    const auto end = Pace::Clock::now() + shared_.limits.drain_time;
    while (shared_.open > 0 && Pace::Clock::now() < end) {
      close_all([](const Connection& connection) { return !connection.has_request(); });
      std::this_thread::sleep_for(drain_poll);
    }
    shared_.is_over = true;
    close_all([](const Connection&) { return true; });
    shared_.workers.join();
    for (const auto& loop : loops_) {
      asio::post(loop->context, [&loop = *loop] {
        loop.clock.cancel();
        loop.guard.reset();
      });
    }
  }

  template <class Which>
  void close_all(Which is_meant) {
    for (const auto& loop : loops_) {
      asio::post(loop->context, [&loop = *loop, is_meant] {
        for_each(loop, [is_meant](Connection& connection) {
          if (is_meant(connection)) {
            connection.close();
          }
        });
      });
    }
  }

  Shared shared_;
  std::vector<std::unique_ptr<Loop>> loops_ =
      make_loops(shared_.limits.loops);  // ends first, with the connections that know it
  tcp::acceptor acceptor_{first()};
  asio::steady_timer pause_{first()};  ///< of the acceptor
  std::unique_ptr<TlsContext> tls_{};
  std::optional<std::pair<tcp::socket, Loop&>> newest_{};  ///< waits for room
  std::size_t next_ = 0;
  std::uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const std::string& address,
                                                       std::uint16_t port, Handler& handler,
                                                       const std::optional<TlsFiles>& tls,
                                                       const HttpLimits& limits) {
  auto server = std::make_unique<BeastServer>(handler, limits);
  FNIMAGE_CHECK(server->open(address, port, tls));
  return server;
}

}  // namespace fnimage::server
