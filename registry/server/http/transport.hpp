// The bytes of one connection, over TCP or TLS: what is above need not know which. Thread-safety:
// it belongs to the thread that runs its socket's loop.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>  // Boost 1.74's asio forgets it

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>

namespace fnimage::server {

class Transport {
 public:
  /// Called once, from the loop, with the bytes that went. It may own what keeps the transport
  /// alive: there is nothing else that does.
  using Done = std::function<void(const boost::system::error_code& error, std::size_t count)>;
  using Buffers = std::array<boost::asio::const_buffer, 2>;

  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  [[nodiscard]] virtual bool is_secure() const noexcept = 0;
  virtual boost::asio::ip::tcp::socket& socket() noexcept = 0;
  /// Before anything else. The only one that may call `done` before it returns.
  virtual void handshake(Done done) = 0;
  virtual void read_some(boost::asio::mutable_buffer buffer, Done done) = 0;
  virtual void write_some(const Buffers& buffers, Done done) = 0;
  /// Tells the peer that nothing more comes.
  virtual void end(Done done) = 0;
};

/// @param tls null = plain.
std::unique_ptr<Transport> make_transport(boost::asio::ip::tcp::socket socket,
                                          std::shared_ptr<boost::asio::ssl::context> tls);

}  // namespace fnimage::server
