// When a request is sent again and how long to wait (reliability F1-F5, C30): the decisions, what
// one registry has asked for, and the loop that follows both. Thread-safety: pure functions;
// HostGate and Retrier may be used from several threads, a Patience belongs to one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/clock.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

/// 408, 429, 500, 502, 503, 504.
bool is_transient_status(int status) noexcept;

/// An HTTP date, as of the Date header; nullopt when it is none.
std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view value);

/// Retry-After in seconds or as an HTTP date, which is taken against the answer's own Date (F33),
/// or `now` without one. A date in the past is 0; nullopt when it is neither.
std::optional<std::chrono::seconds> parse_retry_after(
    std::string_view value, std::string_view date_header,
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

/// Delay before try number `failures + 1`: doubles from first_delay up to max_delay, of which a
/// random half is taken off.
/// @param random in [0, 1)
std::chrono::milliseconds backoff(const RetryOptions& options, int failures, double random);

/// A fresh random number in [0, 1).
double jitter();

/// Waits; false when stopped meanwhile.
bool pause_for(std::chrono::milliseconds duration, const std::stop_token& stop);

/// How long one piece of work is tried. What is done meanwhile counts: after progress the tries
/// and the time of RetryOptions begin anew.
class Patience {
 public:
  Patience(const RetryOptions& options, const Clock& clock) : options_(options), clock_(clock) {}

  void progressed() noexcept { failures_ = 0; }
  /// Failures since the last progress.
  [[nodiscard]] int failures() const noexcept { return failures_; }
  /// Notes a failure that may pass. @param stated what the peer asked for. @return how long to wait
  /// before the next try; nullopt: there is none, or it would take longer than anybody should wait.
  std::optional<std::chrono::milliseconds> failed(std::optional<std::chrono::seconds> stated);

 private:
  const RetryOptions& options_;
  const Clock& clock_;
  int failures_ = 0;
  Clock::Time first_failure_{};
};

/// What one registry has asked for (F5): "not before", after which nothing is sent to it, and fewer
/// requests at the same time. Each answer of 429 halves their number, every few good answers add
/// one again. And what the user allows it to be asked in a second.
class HostGate {
 public:
  /// Leave to send one request, given back at its end.
  class Pass {
   public:
    explicit Pass(HostGate* gate) noexcept : gate_(gate) {}
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass();

   private:
    HostGate* gate_;
  };

  /// @param per_second requests at most; 0 = as many as there are. @param clock outlives the gate.
  explicit HostGate(const Clock& clock = system_clock(), unsigned per_second = 0)
      : clock_(clock),
        interval_(per_second == 0 ? Clock::Time::duration::zero()
                                  : Clock::Time::duration(std::chrono::seconds(1)) / per_second) {}

  /// True when it was open until now.
  bool close_for(std::chrono::milliseconds duration);
  /// Until the registry may be asked again; false when stopped.
  bool wait(const std::stop_token& stop) const;
  /// Until it is this request's turn among those of a second; false when stopped.
  bool take_turn(const std::stop_token& stop);
  /// Waits until the gate is open and few enough are under way. When stopped, at once.
  Pass enter(const std::stop_token& stop);
  void answered(int status);

 private:
  static constexpr std::size_t unlimited = 1024;
  static constexpr std::size_t answers_per_step = 8;

  [[nodiscard]] Clock::Time open_at() const;

  const Clock& clock_;
  Clock::Time::duration interval_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Clock::Time open_at_{};
  Clock::Time next_turn_{};
  std::size_t allowed_ = unlimited;
  std::size_t running_ = 0;
  std::size_t good_answers_ = 0;
};

/// The waiting between tries at one registry. None of its members is owned.
struct Retrier {
  const RetryOptions& options;
  const Clock& clock;
  HostGate& gate;
  Diagnostics& diagnostics;
  std::string_view peer;
  std::stop_token stop{};

  /// Waits before the next try, and says so when that takes long. @param rate_limited nobody else
  /// asks meanwhile either. False when stopped.
  [[nodiscard]] bool wait(std::chrono::milliseconds delay, bool rate_limited) const;

  /// Sends until the answer is not transient, patience is at its end, may_repeat() forbids or
  /// everything is stopped; then returns what there is.
  [[nodiscard]] Result<HttpResponse> send(const std::function<Result<HttpResponse>()>& send,
                                          const std::function<bool()>& may_repeat) const;
};

/// The Retry-After of an answer.
std::optional<std::chrono::seconds> stated_wait(const HttpResponse& answer);

/// "90 s", rounded up.
std::string in_seconds(std::chrono::milliseconds duration);

}  // namespace fnimage::registry
