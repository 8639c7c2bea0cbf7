// Counters in Prometheus' text form (exposition formats, version 0.0.4). Thread-safety: any number
// of threads.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include <fnimage/resolve/resolver.hpp>

#include "admission.hpp"

namespace controller {

class Metrics {
 public:
  void count(Verdict::Kind kind, std::chrono::nanoseconds took) noexcept;
  void count_malformed() noexcept { ++malformed_; }

  [[nodiscard]] std::string text(const fnimage::resolve::ResolverStatistics& resolver,
                                 std::size_t nodes, std::size_t functions) const;

 private:
  /// Upper ends, in seconds; the webhook's deadline is within.
  static constexpr std::array<double, 9> buckets{0.0001, 0.0005, 0.001, 0.005, 0.025,
                                                 0.1,    0.5,    2.5,   10};
  static constexpr std::size_t kinds = 4;

  std::array<std::atomic<std::uint64_t>, kinds> verdicts_{};
  std::array<std::atomic<std::uint64_t>, buckets.size() + 1> durations_{};
  std::atomic<std::uint64_t> nanoseconds_{0};
  std::atomic<std::uint64_t> malformed_{0};
};

}  // namespace controller
