// A running action, asked as OpenWhisk's invoker asks it: POST /init and POST /run, or POST / of
// the single endpoint, with a connection for each request and no request sent twice. What comes
// back is judged as the platform would. Thread-safety: a Client may be used from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::action {

/// Answers are read up to this many bytes, JSON up to this depth.
inline constexpr std::uint64_t max_answer_bytes = std::uint64_t{64} << 20;
inline constexpr std::size_t max_answer_depth = 1000;
/// What the platform carries of an argument or a result.
inline constexpr std::uint64_t platform_limit = std::uint64_t{1} << 20;

struct Endpoint {
  std::string url{};                                            ///< as of parse_url()
  bool knative = false;                                         ///< the single endpoint
  std::chrono::milliseconds timeout = std::chrono::minutes(1);  ///< of each request
};

/// "HOST:PORT" or "http(s)://HOST[:PORT][/]" as URL without path. Error: invalid_argument.
Result<std::string> parse_url(std::string_view text);

/// A JSON object or array as text, for `what` in messages. Error: invalid_argument.
Result<std::string> parse_value(std::string_view text, std::string_view what);

struct Answer {
  int status = 0;
  std::string body{};
  std::string content_type{};
  /// Why the platform would not take it for an answer ("no Content-Length"); empty = it would.
  std::string framing{};
  std::chrono::milliseconds took{0};
};

/// Error: invalid_input.
Result<nlohmann::json> json_of(const Answer& answer);

/// What its "error" says, or else its beginning; printable.
std::string brief(const Answer& answer);

/// It says that the action was initialised before.
bool says_initialised(const Answer& answer);

enum class Outcome : std::uint8_t {
  success,
  application_error,  ///< 200 with "error"
  developer_error,    ///< any other status, or a result that is neither object nor array
  no_response,        ///< an answer that the platform does not take for one
  shutting_down       ///< 503: the platform would try elsewhere
};
/// "application error"
std::string_view to_string(Outcome outcome) noexcept;

struct Judgement {
  Outcome outcome = Outcome::success;
  std::string reason{};  ///< printable; empty for a success
};
Judgement judge_run(const Answer& answer);
/// Here the body does not count.
Judgement judge_init(const Answer& answer);

/// The error that a judgement other than success stands for: invalid_input for an application
/// error, unavailable for shutting_down, else protocol.
Error error_of(const Judgement& judgement, std::string_view request);

/// A transport that has as much patience as requests may take.
Result<std::unique_ptr<registry::Transport>> make_transport(std::chrono::milliseconds timeout,
                                                            const std::stop_token& stop);

using Variables = std::vector<std::pair<std::string, std::string>>;

class Client {
 public:
  Client(std::shared_ptr<registry::Transport> transport, Endpoint endpoint)
      : transport_(std::move(transport)), endpoint_(std::move(endpoint)) {}

  [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }
  /// "/init", or "/" of a single endpoint.
  [[nodiscard]] std::string_view init_path() const noexcept;
  [[nodiscard]] std::string_view run_path() const noexcept;

  /// Any status is a success. Errors: those of Transport::perform(), unavailable when the time is
  /// over.
  Result<Answer> send(std::string_view method, std::string_view path, std::string body = {}) const;
  /// Without code. @param environment over what the platform sets.
  Result<Answer> init(std::string_view activation_id, const Variables& environment = {}) const;
  /// @param value JSON text.
  Result<Answer> run(std::string_view activation_id, std::string_view value) const;
  /// Both at once, which only a single endpoint can do.
  Result<Answer> init_and_run(std::string_view activation_id, const Variables& environment,
                              std::string_view value) const;
  /// Asks until anything answers, as the platform does while a container starts. Error: that of the
  /// last attempt.
  Result<void> wait(std::chrono::milliseconds patience) const;

 private:
  [[nodiscard]] Result<Answer> ask(std::string_view method, std::string_view path, std::string body,
                                   std::chrono::milliseconds timeout) const;

  std::shared_ptr<registry::Transport> transport_;
  Endpoint endpoint_;
};

/// 32 hexadecimal digits, as the platform makes them.
std::string new_activation_id();

}  // namespace fnimage::action
