// What goes through the connections of a loop. Thread-safety: the loop's own thread counts, which
// makes counting as cheap as it can be; any thread reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace fnimage::server {

class Tally {
 public:
  void add(std::uint64_t count) noexcept { set(value() + count); }
  void take(std::uint64_t count) noexcept { set(value() - count); }
  [[nodiscard]] std::uint64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::atomic<std::uint64_t> value_ = 0;
};

struct Traffic {
  Tally requests{};  ///< in progress: the head has come, the answer has not gone
  Tally received{};  ///< bytes of bodies
  Tally sent{};      ///< bytes of bodies
};

}  // namespace fnimage::server
