// When a request is sent again and how long to wait (reliability F1-F5, C30): pure decisions, and
// the one loop that follows them. Thread-safety: pure functions; HostGate may be used from several
// threads.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
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

/// "Not before": one answer of 429 holds up all requests to its registry (F5).
class HostGate {
 public:
  void close_for(std::chrono::milliseconds duration);
  void wait() const;

 private:
  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point open_at_{};
};

/// Sends until the answer is not transient, the tries are used up or may_repeat() forbids; then
/// returns what there is.
Result<HttpResponse> send_patiently(const RetryOptions& options, HostGate& gate,
                                    Diagnostics& diagnostics, std::string_view peer,
                                    const std::function<Result<HttpResponse>()>& send,
                                    const std::function<bool()>& may_repeat);

}  // namespace fnimage::registry
