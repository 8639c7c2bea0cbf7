// When a request is sent again and how long to wait (reliability F1-F5, C30): pure decisions, and
// the one loop that follows them. Thread-safety: pure functions; HostGate may be used from several
// threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

/// 408, 429, 500, 502, 503, 504.
bool is_transient_status(int status) noexcept;

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

/// What one registry has asked for (F5): "not before", after which nothing is sent to it, and fewer
/// requests at the same time. Each answer of 429 halves their number, every few good answers add
/// one again.
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

  void close_for(std::chrono::milliseconds duration);
  /// Until the registry may be asked again; false when stopped.
  bool wait(const std::stop_token& stop) const;
  /// Waits for its turn.
  Pass enter(const std::stop_token& stop);
  void answered(int status);

 private:
  static constexpr std::size_t unlimited = 1024;
  static constexpr std::size_t answers_per_step = 8;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::chrono::steady_clock::time_point open_at_{};
  std::size_t allowed_ = unlimited;
  std::size_t running_ = 0;
  std::size_t good_answers_ = 0;
};

/// Sends until the answer is not transient, the tries are used up, may_repeat() forbids or
/// everything is stopped; then returns what there is.
Result<HttpResponse> send_patiently(const RetryOptions& options, HostGate& gate,
                                    Diagnostics& diagnostics, const std::stop_token& stop,
                                    std::string_view peer,
                                    const std::function<Result<HttpResponse>()>& send,
                                    const std::function<bool()>& may_repeat);

}  // namespace fnimage::registry
