// One client's connection: a TLS handshake, then one request after the other, each step within its
// time. Thread-safety: it belongs to the one thread that runs its socket's executor.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "http.hpp"

namespace controller {

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  enum class Phase {
    handshake,
    idle,       ///< nothing has come of the next request
    reading,    ///< a part of a request has come
    answering,  ///< a request is decided, or its answer written
    ending,     ///< what is still sent is thrown away
    closed,
  };

  /// Who has accepted it. Must outlive it.
  class Owner {
   public:
    Owner() = default;
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    virtual ~Owner() = default;

    virtual void handle(HttpRequest request, const Reply& reply) = 0;
    /// Room for the body of a request that is to be read. False: there is none.
    virtual bool take_room(std::size_t bytes) = 0;
    virtual void give_back_room(std::size_t bytes) = 0;
    [[nodiscard]] virtual bool is_stopping() const = 0;
    /// It is being destroyed.
    virtual void forget(Connection& connection) = 0;
  };

  /// It lives as long as there is something to wait for.
  static std::shared_ptr<Connection> make(boost::asio::ip::tcp::socket socket,
                                          boost::asio::ssl::context& context, Owner& owner);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  virtual void begin() = 0;
  /// At once. Not for one that is answering.
  virtual void close() = 0;

  [[nodiscard]] Phase phase() const { return phase_; }
  /// When the phase began.
  [[nodiscard]] Clock::time_point since() const { return since_; }
  /// Of the body that is read or decided.
  [[nodiscard]] std::size_t room() const { return room_; }

 protected:
  Connection() = default;
  void enter(Phase phase) {
    phase_ = phase;
    since_ = Clock::now();
  }
  std::size_t room_ = 0;

 private:
  Phase phase_ = Phase::handshake;
  Clock::time_point since_ = Clock::now();
};

}  // namespace controller
