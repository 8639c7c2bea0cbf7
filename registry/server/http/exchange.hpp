// What the HTTP server and those who answer its requests say to each other. Thread-safety: values;
// a Handler is called from many threads at once, a BodyReceiver from one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <fnimage/base/bytes.hpp>

#include "http/growing_file.hpp"
#include "http/late_answer.hpp"
#include "http/open_file.hpp"

namespace fnimage::server {

struct HeaderField {
  std::string name;
  std::string value;
};

/// The head of a request (RFC 9112). The server has checked its framing: a handler never sees
/// Transfer-Encoding together with Content-Length, or two lengths.
struct Request {
  std::string method;  ///< as sent: "GET"
  std::string path;    ///< of the target, as sent, beginning with '/'
  std::string query;   ///< of the target, as sent, without '?'
  std::vector<HeaderField> headers;
  std::optional<std::uint64_t> content_length;  ///< nullopt: chunked, or there is no body
  bool has_body = false;
  bool is_secure = false;  ///< came over TLS
  std::string peer;        ///< "127.0.0.1:4711"
  /// When its head had come.
  std::chrono::steady_clock::time_point begun{};
  /// Who sends it, as the handler has found out; empty = nobody in particular. Mutable since only
  /// answering a request tells: it is read when that is over.
  mutable std::string caller{};

  /// The first field of this name (case does not matter); empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  /// All fields of this name, joined as RFC 9110 5.3 allows: "a, b".
  [[nodiscard]] std::string joined(std::string_view name) const;
};

/// A part of a file as a body.
struct FileSlice {
  std::shared_ptr<const OpenFile> file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  ///< bytes
};

/// A part of a file that is still being written.
struct GrowingSlice {
  std::shared_ptr<GrowingFile> file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  ///< bytes, in the end
};

struct Response {
  int status = 200;
  /// Without Content-Length, Connection, Date: those are the server's.
  std::vector<HeaderField> headers{};
  /// To a HEAD the server sends its length only.
  std::variant<std::string, std::shared_ptr<const std::string>, FileSlice, GrowingSlice> body{};
  /// The connection ends after it: the peer is not to be trusted with another request.
  bool closes = false;
};

/// Takes the body of one request as it comes. Destroyed without end(): the client went away, was
/// too slow, or the server stops.
class BodyReceiver {
 public:
  virtual ~BodyReceiver() = default;
  /// The next bytes, on an I/O thread: must not wait for anything but the file system. An answer
  /// ends the request early.
  virtual std::optional<Response> write(Bytes bytes) = 0;
  /// All bytes have come. Called on a worker thread and may wait.
  virtual Response end() = 0;
};

/// An answer, or who takes the body first, or who answers later.
using Answer = std::variant<Response, std::unique_ptr<BodyReceiver>, LateAnswer>;

class Handler {
 public:
  virtual ~Handler() = default;
  /// Whether answer() neither waits nor takes long: it is then called on an I/O thread instead of a
  /// worker.
  [[nodiscard]] virtual bool is_quick(const Request& request) const = 0;
  /// Answers a request's head. A body that nobody takes is read and dropped when it is small, else
  /// the connection ends.
  virtual Answer answer(const Request& request) = 0;
  /// Adds what all answers to such a request have, those of the server itself, too ("too many
  /// requests"). On an I/O thread.
  virtual void complete(const Request& /*request*/, Response& /*response*/) const {}
  /// The answer is out, or could not be sent (`sent` bytes of its body). On an I/O thread.
  virtual void answered(const Request& /*request*/, int /*status*/, std::uint64_t /*sent*/) {}
};

}  // namespace fnimage::server
