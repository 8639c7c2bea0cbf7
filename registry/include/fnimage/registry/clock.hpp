// Time as those see it who wait before they ask a registry again, so that a controller (or a test)
// can drive it. Thread-safety: implementations must accept calls from any thread.
#pragma once

#include <chrono>
#include <stop_token>

namespace fnimage::registry {

class Clock {
 public:
  using Time = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  [[nodiscard]] virtual Time now() const = 0;
  /// Waits; false when stopped meanwhile.
  virtual bool sleep_until(Time time, const std::stop_token& stop) const = 0;
};

/// std::chrono::steady_clock. Has static lifetime and no state.
const Clock& system_clock() noexcept;

}  // namespace fnimage::registry
