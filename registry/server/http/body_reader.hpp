// A request's body from the connection to its receiver. Thread-safety: it belongs to the thread
// that runs the connection's loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <boost/beast/core/flat_buffer.hpp>

#include "http/exchange.hpp"
#include "http/head.hpp"
#include "http/pace.hpp"
#include "http/traffic.hpp"
#include "http/transport.hpp"

namespace fnimage::server {

class BodyReader {
 public:
  enum class End : std::uint8_t {
    complete,  ///< all bytes were taken
    answered,  ///< there is an answer before the end
    gone       ///< the client
  };
  /// `answer` is null unless the end is `answered`.
  using Done = std::function<void(End end, std::optional<Response> answer)>;

  /// @param buffer what was read beyond the head.
  BodyReader(Transport& transport, boost::beast::flat_buffer& buffer, Pace& pace, Traffic& traffic,
             std::size_t most_of_chunk_head)
      : transport_(transport),
        buffer_(buffer),
        pace_(pace),
        traffic_(traffic),
        most_of_chunk_head_(most_of_chunk_head) {}

  /// Of this request, whose head was read. The parser lives until the body ends.
  void expect(HeadParser& parser);
  void forget() { parser_ = nullptr; }
  /// Whether bytes of it have not been read yet.
  [[nodiscard]] bool is_unread() const;
  /// Whether what is left is so little that reading it costs less than a new connection.
  [[nodiscard]] bool is_little() const;

  /// @param receiver null = nobody wants it. Destroyed when the body ends, unless that is complete.
  void receive(std::unique_ptr<BodyReceiver> receiver, Done done);
  /// After a complete body.
  std::unique_ptr<BodyReceiver> take_receiver() { return std::move(receiver_); }

 private:
  struct ChunkSink {  // what Beast's parser calls
    BodyReader& reader;
    std::size_t operator()(std::uint64_t left, boost::beast::string_view bytes,
                           boost::system::error_code& error) const;
  };

  void receive_fixed(Done done);
  void on_fixed(std::size_t count, Done done);
  void receive_chunked(Done done);
  [[nodiscard]] bool parse_chunks(boost::system::error_code& error);
  void deliver(Bytes bytes);
  void finish(End end, const Done& done);

  Transport& transport_;
  boost::beast::flat_buffer& buffer_;
  Pace& pace_;
  Traffic& traffic_;
  const std::size_t most_of_chunk_head_;
  HeadParser* parser_ = nullptr;
  std::uint64_t remaining_ = 0;  ///< of a body with a length
  std::unique_ptr<BodyReceiver> receiver_{};
  std::optional<Response> answer_{};
  std::unique_ptr<std::byte[]> block_{};  // NOLINT(cppcoreguidelines-avoid-c-arrays)
  ChunkSink sink_{*this};
};

}  // namespace fnimage::server
