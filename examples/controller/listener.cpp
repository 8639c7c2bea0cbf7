// See the header.
#include "listener.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

namespace controller {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Phase = Connection::Phase;

// An API server has as many connections as it asks at once: 200 unless it is told otherwise.
constexpr std::size_t max_connections = 1'024;
constexpr std::size_t max_room = std::size_t{32} << 20;  // 10 of the largest requests
constexpr std::chrono::milliseconds pause{50};
// For requests that are only half there when the end comes.
constexpr std::chrono::seconds time_to_ask{2};

/// The usual limit of 1,024 files would be reached before that of connections, and registries want
/// some, too.
void allow_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur =
        std::max(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, 4 * max_connections));
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

bool waits_for_its_client(const Connection& connection) {
  return connection.phase() != Phase::answering && connection.phase() != Phase::closed;
}

bool is_reading(const Connection& connection) {
  return connection.phase() == Phase::reading;
}

}  // namespace

Listener::Listener(Certificate& certificate, Handler handler)
    : handler_(std::move(handler)),
      context_(asio::ssl::context::tls_server),
      io_(1),
      acceptor_(io_),
      pause_(io_) {
  certificate.serve(*context_.native_handle());
  SSL_CTX_set_mode(context_.native_handle(), SSL_MODE_RELEASE_BUFFERS);
}

fnimage::Result<int> Listener::bind(const std::string& host, int port) {
  allow_files();
  error_code error;
  tcp::resolver resolver(io_);
  const auto found = resolver.resolve(
      host, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
  for (const auto& address : found) {
    error = listen(address.endpoint());
    if (!error) {
      wait_for_clients();
      return acceptor_.local_endpoint().port();
    }
  }
  return fnimage::fail(fnimage::ErrorCode::unavailable,
                       fmt::format("cannot listen on {}:{}: {}", host, port, error.message()),
                       "is another program listening there?");
}

error_code Listener::listen(const tcp::endpoint& endpoint) {
  acceptor_ = tcp::acceptor(io_);
  error_code error;
  const auto step = [&](auto&& action) {
    if (!error) {
      action();
    }
  };
  step([&] { acceptor_.open(endpoint.protocol(), error); });
  step([&] { acceptor_.set_option(tcp::acceptor::reuse_address(true), error); });
  step([&] { acceptor_.bind(endpoint, error); });
  step([&] { acceptor_.listen(asio::socket_base::max_listen_connections, error); });
  step([&] { acceptor_.non_blocking(true, error); });
  return error;
}

void Listener::run() {
  io_.run();
}

void Listener::stop() {
  asio::post(io_, [this] { begin_to_stop(); });
}

void Listener::wait_for_clients() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](error_code error) {
    if (!error && !is_stopping_) {
      accept();
    }
  });
}

/// When there are too many, the one goes for whose client has been waited for longest: clients that
/// are slow on purpose are the first to go however many come, and the API server, which asks as
/// fast as it can, is not waited for. Refusing new ones would leave it to them.
void Listener::accept() {
  if (connections_.size() >= max_connections && !close_longest(waits_for_its_client)) {
    return accept_later();  // all of them have asked: they are done soon
  }
  error_code error;
  tcp::socket socket = acceptor_.accept(error);
  if (error && error != asio::error::would_block && error != asio::error::connection_aborted) {
    close_longest(waits_for_its_client);  // there are no more files to be had
    return accept_later();
  }
  if (!error) {
    const auto connection = Connection::make(std::move(socket), context_, *this);
    connections_.insert(connection.get());
    connection->begin();
  }
  wait_for_clients();
}

void Listener::accept_later() {
  pause_.expires_after(pause);
  pause_.async_wait([this](error_code error) {
    if (!error && !is_stopping_) {
      wait_for_clients();
    }
  });
}

template <class Condition>
bool Listener::close_longest(Condition may_be_closed) {
  Connection* longest = nullptr;
  for (Connection* connection : connections_) {
    if (may_be_closed(*connection) &&
        (longest == nullptr || connection->since() < longest->since())) {
      longest = connection;
    }
  }
  if (longest != nullptr) {
    longest->close();
  }
  return longest != nullptr;
}

template <class Condition>
void Listener::close_all(Condition may_be_closed) {
  for (Connection* connection : connections_) {
    if (may_be_closed(*connection)) {
      connection->close();
    }
  }
}

void Listener::forget(Connection& connection) {
  connections_.erase(&connection);
  if (is_stopping_ && connections_.empty()) {
    pause_.cancel();
  }
}

bool Listener::take_room(std::size_t bytes) {
  while (room_taken_ + bytes > max_room) {
    if (!close_longest([](const Connection& one) { return is_reading(one) && one.room() > 0; })) {
      return false;
    }
  }
  room_taken_ += bytes;
  return true;
}

void Listener::begin_to_stop() {
  is_stopping_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  close_all([](const Connection& one) { return waits_for_its_client(one) && !is_reading(one); });
  if (connections_.empty()) {
    return;
  }
  pause_.expires_after(time_to_ask);
  pause_.async_wait([this](error_code error) {
    if (!error) {
      close_all(waits_for_its_client);
    }
  });
}

}  // namespace controller
