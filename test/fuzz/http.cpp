// Requests to the embedded registry: heads and bodies, as bytes that come in pieces of any size.
// How they are cut changes nothing of what is read, or where the next request would begin.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <boost/asio/io_context.hpp>

#include "fuzz.hpp"
#include "http/body_reader.hpp"
#include "http/head.hpp"

namespace fnimage::fuzz {
namespace {

using namespace server;

/// A client that has sent all its bytes and gone; they come in pieces.
class PieceTransport final : public Transport {
 public:
  PieceTransport(std::string_view text, std::size_t largest) : text_(text), largest_(largest) {}

  [[nodiscard]] bool is_secure() const noexcept override { return false; }
  boost::asio::ip::tcp::socket& socket() noexcept override { return socket_; }
  void handshake(Done done) override { done({}, 0); }
  void read_some(boost::asio::mutable_buffer buffer, Done done) override {
    buffer_ = buffer;
    done_ = std::move(done);
  }
  void write_some(const Buffers&, Done) override { require(false, "a reader does not write"); }
  void end(Done) override { require(false, "a reader does not end the connection"); }

  /// Answers what was asked for. False = nothing was.
  bool step() {
    if (!done_) {
      return false;
    }
    const std::size_t count = std::min({buffer_.size(), text_.size(), largest_});
    std::copy_n(text_.begin(), count, static_cast<char*>(buffer_.data()));
    text_.remove_prefix(count);
    std::exchange(done_, nullptr)(count == 0
                                      ? boost::asio::error::make_error_code(boost::asio::error::eof)
                                      : boost::system::error_code(),
                                  count);
    return true;
  }
  [[nodiscard]] std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
  std::size_t largest_;
  boost::asio::mutable_buffer buffer_{};
  Done done_{};
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::socket socket_{context_};
};

/// What was made of the bytes.
struct Outcome {
  int status = 0;  ///< of a refused head
  std::string request{};
  std::optional<BodyReader::End> end{};
  std::string body{};
  std::string rest{};  ///< where the next request begins
  bool operator==(const Outcome&) const = default;
};

class Keeper final : public BodyReceiver {
 public:
  explicit Keeper(std::string& text) : text_(text) {}
  std::optional<Response> write(Bytes bytes) override {
    require(!bytes.empty(), "there is something to write");
    text_ += as_text(bytes);
    return std::nullopt;
  }
  Response end() override { return {}; }

 private:
  std::string& text_;
};

void check(const Request& request) {
  require(request.path.starts_with('/'), "a target is a path");
  require(std::ranges::all_of(request.path + request.query,
                              [](char c) { return c > ' ' && c < '\x7f'; }),
          "a target is visible ASCII");
  require(request.header("Content-Length").empty() || request.header("Transfer-Encoding").empty(),
          "a body has one length");
  for (const HeaderField& field : request.headers) {
    require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos,
            "a field is one line");
  }
}

/// @param text beginning with a head of which this is the end.
void read_request(std::string_view text, std::size_t head, std::size_t largest, Outcome& outcome) {
  HeadParser parser;
  boost::system::error_code error;
  const std::size_t used = parser.put(boost::asio::buffer(text.data(), head), error);
  if (error || !parser.is_header_done()) {
    outcome.status = head_fault(error).status;
    return;
  }
  require(used == head, "a head ends where it was found to end");
  auto read = read_head(parser);
  if (const auto* fault = std::get_if<HeadFault>(&read)) {
    outcome.status = fault->status;
    return;
  }
  const auto& request = std::get<Request>(read);
  check(request);
  outcome.request = request.method + " " + request.path + "?" + request.query;
  PieceTransport transport(text.substr(head), largest);
  boost::beast::flat_buffer buffer;
  Pace pace;
  Traffic traffic;
  BodyReader reader(transport, buffer, pace, traffic, std::size_t{1} << 16U);
  reader.expect(parser);
  require(reader.is_unread() == request.has_body, "who reads the body knows of it");
  reader.receive(std::make_unique<Keeper>(outcome.body),
                 [&](BodyReader::End end, const std::optional<Response>&) {
                   require(!outcome.end, "a body ends once");
                   outcome.end = end;
                 });
  while (transport.step()) {
  }
  require(outcome.end.has_value(), "a body ends");
  if (outcome.end == BodyReader::End::complete) {
    require(request.content_length.value_or(outcome.body.size()) == outcome.body.size(),
            "a complete body is as long as was said");
    outcome.rest.assign(static_cast<const char*>(buffer.data().data()), buffer.size());
    outcome.rest += transport.rest();
  } else {
    outcome.body.clear();  // how much came before is chance
  }
}

Outcome read(std::string_view text, std::size_t largest) {
  Outcome outcome;
  HeadScan scan;
  for (std::size_t size = std::min(largest, text.size());; size += largest) {
    const auto found = scan.find_end(text.substr(0, size));
    if (const auto* fault = std::get_if<HeadFault>(&found)) {
      outcome.status = fault->status;
      return outcome;
    }
    if (const auto* end = std::get_if<std::size_t>(&found)) {
      read_request(text, *end, largest, outcome);
      return outcome;
    }
    if (size >= text.size()) {
      return outcome;
    }
  }
}

}  // namespace
}  // namespace fnimage::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string_view text = text_of(data, size);
  const Outcome whole = read(text, text.size() + 1);
  for (const std::size_t largest : {1U, 7U}) {
    require(read(text, largest) == whole, "it does not matter how the bytes are cut");
  }
  return 0;
}
