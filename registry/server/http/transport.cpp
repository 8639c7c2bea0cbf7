#include "http/transport.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>

namespace fnimage::server {

namespace {

namespace asio = boost::asio;
using TcpSocket = asio::ip::tcp::socket;

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(TcpSocket socket) : socket_(std::move(socket)) {}

  [[nodiscard]] bool is_secure() const noexcept override { return false; }
  TcpSocket& socket() noexcept override { return socket_; }
  void handshake(Done done) override { done({}, 0); }
  void read_some(asio::mutable_buffer buffer, Done done) override {
    socket_.async_read_some(buffer, std::move(done));
  }
  void write_some(const Buffers& buffers, Done done) override {
    socket_.async_write_some(buffers, std::move(done));
  }
  void end(Done done) override {
    boost::system::error_code error;
    socket_.shutdown(TcpSocket::shutdown_send, error);
    asio::post(socket_.get_executor(), [error, done = std::move(done)] { done(error, 0); });
  }

 private:
  TcpSocket socket_;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(TcpSocket socket, std::shared_ptr<asio::ssl::context> context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}

  [[nodiscard]] bool is_secure() const noexcept override { return true; }
  TcpSocket& socket() noexcept override { return stream_.next_layer(); }
  void handshake(Done done) override {
    stream_.async_handshake(
        asio::ssl::stream_base::server,
        [done = std::move(done)](const boost::system::error_code& error) { done(error, 0); });
  }
  void read_some(asio::mutable_buffer buffer, Done done) override {
    stream_.async_read_some(buffer, std::move(done));
  }
  void write_some(const Buffers& buffers, Done done) override {
    stream_.async_write_some(buffers, std::move(done));
  }
  void end(Done done) override {
    stream_.async_shutdown([this, done = std::move(done)](const boost::system::error_code& error) {
      boost::system::error_code ignored;
      socket().shutdown(TcpSocket::shutdown_send, ignored);
      done(error, 0);
    });
  }

 private:
  std::shared_ptr<asio::ssl::context> context_;  // before the stream, which uses it
  asio::ssl::stream<TcpSocket> stream_;
};

}  // namespace

std::unique_ptr<Transport> make_transport(TcpSocket socket,
                                          std::shared_ptr<asio::ssl::context> tls) {
  if (tls == nullptr) {
    return std::make_unique<PlainTransport>(std::move(socket));
  }
  return std::make_unique<TlsTransport>(std::move(socket), std::move(tls));
}

}  // namespace fnimage::server
