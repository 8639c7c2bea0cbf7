// An HTTP/1.1 server on 127.0.0.1 and a free port that plays a script: for testing clients against
// every answer and every fault, byte by byte. Either the script is a list of expected requests in
// order, or a function of the request. Thread-safety: all methods may be called from any thread;
// the handler is called from one thread per connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fnimage::test {

struct SeenRequest {
  std::string method;
  std::string target;  ///< path with query, as sent
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::size_t connection = 0;  ///< number of the connection it came on, from 0
  [[nodiscard]] std::optional<std::string> header(std::string_view name) const;
  [[nodiscard]] std::string line() const { return method + " " + target; }
};

struct Reply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  /// How the connection misbehaves.
  enum class Fault : std::uint8_t {
    none,
    drop,         ///< closed without an answer
    reset,        ///< the same, by RST
    cut,          ///< closed in the middle of the body
    stall,        ///< silence in the middle of the body, until the client has gone
    stall_head,   ///< the same in the middle of the head
    drip,         ///< head and body byte by byte, ten a second
    drip_body,    ///< the same after a head that comes at once
    early,        ///< answers before reading the body, then closes
    close_after,  ///< closes after a full answer without saying so
    endless       ///< the body is repeated until the client goes away
  };
  Fault fault = Fault::none;
  /// Bytes of the body that go before a cut, which is then a reset; else half of them.
  std::optional<std::size_t> cut_after{};
  std::string raw{};  ///< sent instead of everything above
};

class ScriptedServer {
 public:
  using Handler = std::function<Reply(const SeenRequest&)>;

  ScriptedServer();
  explicit ScriptedServer(Handler handler);
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer();

  /// The next request must be this one ("GET /v2/"); anything else is a problem and is answered
  /// with 599.
  ScriptedServer& expect(std::string line, Reply reply);
  /// Requests beyond the script go here instead.
  void otherwise(Handler handler);

  /// Asked about each request before its body is read: after how many bytes of it the connection is
  /// reset; nullopt = never. What was read goes to the handler, whose reply nobody gets.
  void cut_bodies(std::function<std::optional<std::size_t>(const SeenRequest&)> decide);

  /// Asked in the same way: after how many bytes the rest is not read for good. When the client has
  /// gone, what was read goes to the handler, whose reply nobody gets.
  void stall_bodies(std::function<std::optional<std::size_t>(const SeenRequest&)> decide);

  /// From now on every connection gets these bytes at once and is then closed: a peer of another
  /// protocol.
  void greet(std::string raw);

  /// From now on every connection is reset when its first bytes have come.
  void hang_up();
  [[nodiscard]] std::size_t connections() const;  ///< so far

  [[nodiscard]] std::string address() const;  ///< "127.0.0.1:port"
  [[nodiscard]] std::string url(std::string_view target) const;
  [[nodiscard]] std::vector<SeenRequest> requests() const;
  /// "METHOD target" of every request so far.
  [[nodiscard]] std::vector<std::string> lines() const;
  /// Unexpected requests and expectations not met; empty = the script was played exactly.
  [[nodiscard]] std::vector<std::string> problems() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fnimage::test
