// HTTPS: accepts connections, and sees that there are no more of them, and no more in memory of
// what they ask, than there is room for. Thread-safety: run() belongs to one thread, which serves
// all connections; stop() to any.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_set>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <fnimage/base/result.hpp>

#include "certificate.hpp"
#include "connection.hpp"
#include "http.hpp"

namespace controller {

class Listener final : private Connection::Owner {
 public:
  /// @param certificate must outlive it.
  Listener(Certificate& certificate, Handler handler);

  /// The port that it listens on; 0 asks for one that is free. Error: unavailable when it cannot.
  fnimage::Result<int> bind(const std::string& host, int port);
  /// Answers until it is stopped, then those who have asked.
  void run();
  void stop();

 private:
  void handle(HttpRequest request, const Reply& reply) override {
    handler_(std::move(request), reply);
  }
  bool take_room(std::size_t bytes) override;
  void give_back_room(std::size_t bytes) override { room_taken_ -= bytes; }
  [[nodiscard]] bool is_stopping() const override { return is_stopping_; }
  void forget(Connection& connection) override;

  boost::system::error_code listen(const boost::asio::ip::tcp::endpoint& endpoint);
  void wait_for_clients();
  void accept();
  void accept_later();
  template <class Condition>
  bool close_longest(Condition may_be_closed);
  template <class Condition>
  void close_all(Condition may_be_closed);
  void begin_to_stop();

  Handler handler_;
  std::unordered_set<Connection*> connections_;
  std::size_t room_taken_ = 0;
  bool is_stopping_ = false;
  boost::asio::ssl::context context_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
};

}  // namespace controller
