#include "http/body_reader.hpp"

#include <algorithm>
#include <utility>

#include <boost/beast/http/error.hpp>

#include "http/replies.hpp"

namespace fnimage::server {

namespace {

constexpr std::size_t body_block = std::size_t{256} << 10U;
constexpr std::size_t chunked_block = std::size_t{128} << 10U;
/// "0 CR LF CR LF": so much comes at least while a body goes on. Of less, Beast 1.74 asserts that
/// it cannot be.
constexpr std::size_t shortest_end = 5;
constexpr std::uint64_t little_body = std::uint64_t{64} << 10U;

}  // namespace

void BodyReader::expect(HeadParser& parser) {
  parser_ = &parser;
  const auto length = parser.chunked() ? boost::none : parser.content_length();
  remaining_ = length.value_or(0);
  if (parser.chunked()) {
    parser.on_chunk_body(sink_);
  }
}

bool BodyReader::is_unread() const {
  return parser_ != nullptr && (parser_->chunked() ? !parser_->is_done() : remaining_ > 0);
}

bool BodyReader::is_little() const {
  return parser_ != nullptr && !parser_->chunked() && remaining_ <= little_body;
}

void BodyReader::receive(std::unique_ptr<BodyReceiver> receiver, Done done) {
  receiver_ = std::move(receiver);
  pace_.transfer();
  if (parser_->chunked()) {
    return receive_chunked(std::move(done));
  }
  const std::size_t count = std::min<std::uint64_t>(buffer_.size(), remaining_);
  if (count > 0) {  // it came together with the head
    deliver(Bytes(static_cast<const std::byte*>(buffer_.data().data()), count));
    buffer_.consume(count);
  }
  on_fixed(count, std::move(done));
}

void BodyReader::receive_fixed(Done done) {
  const std::size_t most = std::min<std::uint64_t>(remaining_, body_block);
  if (block_ == nullptr) {
    block_.reset(new std::byte[most]);  // not filled with zeros first
  }
  transport_.read_some({block_.get(), most},
                       [this, done = std::move(done)](const boost::system::error_code& error,
                                                      std::size_t count) mutable {
                         if (error) {
                           return finish(End::gone, done);
                         }
                         deliver(Bytes(block_.get(), count));
                         on_fixed(count, std::move(done));
                       });
}

void BodyReader::on_fixed(std::size_t count, Done done) {
  remaining_ -= count;
  if (answer_) {
    return finish(End::answered, done);
  }
  if (remaining_ == 0) {
    return finish(End::complete, done);
  }
  receive_fixed(std::move(done));
}

void BodyReader::receive_chunked(Done done) {
  boost::system::error_code error;
  const bool needs_more = parse_chunks(error);
  if (error && !answer_) {
    const HeadFault fault = head_fault(error);
    answer_ = plain_reply(fault.status, fault.why);
  }
  if (answer_) {
    return finish(End::answered, done);
  }
  if (!needs_more) {
    return finish(End::complete, done);
  }
  transport_.read_some(buffer_.prepare(chunked_block),
                       [this, done = std::move(done)](const boost::system::error_code& failed,
                                                      std::size_t count) mutable {
                         if (failed) {
                           return finish(End::gone, done);
                         }
                         buffer_.commit(count);
                         pace_.progress(count);
                         receive_chunked(std::move(done));
                       });
}

/// What is in the buffer. Content goes straight from there to the receiver.
bool BodyReader::parse_chunks(boost::system::error_code& error) {
  while (!parser_->is_done() && !answer_ && !error) {
    if (buffer_.size() >= shortest_end) {
      buffer_.consume(parser_->put(buffer_.data(), error));
    } else {
      error = boost::beast::http::error::need_more;
    }
    if (error == boost::beast::http::error::need_more) {
      error = {};
      if (buffer_.size() <= most_of_chunk_head_) {
        return true;
      }
      error = boost::beast::http::error::header_limit;  // a size or trailers without an end
    }
  }
  return false;
}

std::size_t BodyReader::ChunkSink::operator()(std::uint64_t /*left*/,
                                              boost::beast::string_view bytes,
                                              boost::system::error_code& /*error*/) const {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): characters are bytes
  reader.deliver(Bytes(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()));
  return bytes.size();
}

void BodyReader::deliver(Bytes bytes) {
  traffic_.received.add(bytes.size());
  if (!parser_->chunked()) {
    pace_.progress(bytes.size());
  }
  if (receiver_ == nullptr || answer_ || bytes.empty()) {
    return;
  }
  try {
    answer_ = receiver_->write(bytes);
  } catch (...) {  // it promises not to, but memory may run out anywhere
    answer_ = fault_reply();
  }
}

void BodyReader::finish(End end, const Done& done) {
  block_.reset();
  if (end != End::complete) {
    receiver_.reset();
  }
  done(end, std::exchange(answer_, std::nullopt));
}

}  // namespace fnimage::server
