// One client's connection: a TLS handshake perhaps, then one request after the other. Nothing here
// waits for a client; a look at the clock now and then ends what takes too long. Thread-safety: it
// belongs to the thread that runs its loop.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_set>
#include <utility>  // Boost 1.74's asio forgets it

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "http/exchange.hpp"
#include "http/http_server.hpp"
#include "http/loop_door.hpp"
#include "http/pace.hpp"
#include "http/traffic.hpp"
#include "http/workers.hpp"

namespace fnimage::server {

class Connection;

/// What a thread runs, and the connections that it serves.
struct Loop {
  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { door->close(); }

  Traffic traffic{};
  std::unordered_set<Connection*> connections{};
  // Behind it, so that it ends first: with the operations that keep connections alive.
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{
      context.get_executor()};
  boost::asio::steady_timer clock{context};  ///< for a look at all connections
  std::shared_ptr<LoopDoor> door = std::make_shared<LoopDoor>(context);
};

/// What all connections of a server have in common.
struct Shared {
  Handler& handler;
  const HttpLimits limits;
  Workers workers;
  std::atomic<std::size_t> open = 0;
  std::atomic<bool> is_stopping = false;  ///< what has begun may end
  std::atomic<bool> is_over = false;      ///< nothing may, any more
  std::atomic<bool> is_full = false;      ///< a client waits for a connection to end
  std::function<void()> has_room{};       ///< called then, from any thread
};

/// A place among the connections that may be open at once; taken as soon as one is accepted.
class Slot {
 public:
  explicit Slot(Shared& shared) : shared_(&shared) { shared.open.fetch_add(1); }
  Slot(Slot&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  Slot& operator=(Slot&&) = delete;
  ~Slot();

 private:
  Shared* shared_;
};

class Connection {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection();

  virtual void begin() = 0;
  /// Ends it if its time is up.
  virtual void check(Pace::Clock::time_point now) = 0;
  /// At once.
  virtual void close() = 0;
  /// Whether it waits for a request of which nothing has come.
  [[nodiscard]] virtual bool is_idle() const = 0;
  /// Whether a whole head has come, and its answer has not gone.
  [[nodiscard]] virtual bool has_request() const = 0;
  /// Since when it is what it is.
  [[nodiscard]] virtual Pace::Clock::time_point since() const = 0;

 protected:
  Connection(Loop& loop, Shared& shared, Slot slot);
  Loop& loop_;      // NOLINT(cppcoreguidelines-non-private-member-variables-in-classes)
  Shared& shared_;  // NOLINT(cppcoreguidelines-non-private-member-variables-in-classes)

 private:
  Slot slot_;
};

/// It lives as long as there is something to wait for. @param tls null = plain.
std::shared_ptr<Connection> make_connection(boost::asio::ip::tcp::socket socket,
                                            std::shared_ptr<boost::asio::ssl::context> tls,
                                            Loop& loop, Shared& shared, Slot slot);

}  // namespace fnimage::server
