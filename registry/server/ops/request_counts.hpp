// How many requests there were, and how long they took. Counting one is a handful of additions
// without locks, to a part of the numbers that threads seldom share. Thread-safety: all methods
// from several threads.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"
#include "ops/endpoint_kind.hpp"

namespace fnimage::server {

inline constexpr std::array<std::string_view, 7> counted_methods{"GET",   "HEAD",   "POST", "PUT",
                                                                 "PATCH", "DELETE", "other"};
/// 0 stands for all others.
inline constexpr std::array<int, 32> counted_statuses{
    200, 201, 202, 204, 206, 302, 304, 307, 400, 401, 403, 404, 405, 409, 411, 412,
    413, 414, 415, 416, 417, 421, 429, 431, 500, 501, 502, 503, 504, 505, 507, 0};
/// Bounds of the durations that are told apart; the last is infinite.
inline constexpr std::array<std::chrono::microseconds, 16> duration_bounds{
    std::chrono::microseconds(250),     std::chrono::microseconds(500),
    std::chrono::microseconds(1000),    std::chrono::microseconds(2500),
    std::chrono::microseconds(5000),    std::chrono::microseconds(10'000),
    std::chrono::microseconds(25'000),  std::chrono::microseconds(50'000),
    std::chrono::microseconds(100'000), std::chrono::microseconds(250'000),
    std::chrono::microseconds(500'000), std::chrono::seconds(1),
    std::chrono::milliseconds(2500),    std::chrono::seconds(10),
    std::chrono::seconds(60),           std::chrono::seconds(600)};

struct Durations {
  std::array<std::uint64_t, duration_bounds.size() + 1> buckets{};  ///< not cumulative
  std::uint64_t nanoseconds = 0;                                    ///< all together
};

/// What was counted, for a reader.
struct RequestTotals {
  struct OfKind {
    std::array<std::array<std::uint64_t, counted_statuses.size()>, counted_methods.size()> count{};
    Durations durations{};
  };
  std::array<OfKind, endpoint_kinds> kinds{};
  std::uint64_t failed_logins = 0;

  /// @param status one of counted_statuses.
  [[nodiscard]] std::uint64_t count(EndpointKind kind, std::string_view method, int status) const;
};

class RequestCounts {
 public:
  using Clock = std::chrono::steady_clock;

  RequestCounts() : parts_(part_count) {}
  /// Of an answered request.
  void add(const Request& request, int status, Clock::time_point now) noexcept;
  [[nodiscard]] RequestTotals totals() const;

 private:
  using Number = std::atomic<std::uint64_t>;
  static constexpr std::size_t part_count = 8;
  static constexpr std::size_t cache_line = 64;
  struct alignas(cache_line) Part {
    struct OfKind {
      std::array<std::array<Number, counted_statuses.size()>, counted_methods.size()> count{};
      std::array<Number, duration_bounds.size() + 1> buckets{};
      Number nanoseconds = 0;
    };
    std::array<OfKind, endpoint_kinds> kinds{};
    Number failed_logins = 0;
  };

  std::vector<Part> parts_;
};

}  // namespace fnimage::server
