// Whether requests may come: the store is looked at now and then, not for each question.
// Thread-safety: all methods from several threads.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "store/store.hpp"

namespace fnimage::server {

struct ReadinessLimits {
  std::chrono::milliseconds fresh{1000};     ///< so long a result is good
  std::chrono::milliseconds patience{5000};  ///< a look at the store may take
};

class Readiness {
 public:
  /// @param store not owned; lives longer.
  explicit Readiness(Store& store, const ReadinessLimits& limits = {})
      : store_(store), limits_(limits) {}

  /// From now on nothing more should come.
  void stop() noexcept { is_stopping_ = true; }
  /// Why none should come, for people; empty = all is well. Looks at the store when the last result
  /// is old, in one thread at a time: others are told the last one.
  std::string obstacle();

 private:
  using Clock = std::chrono::steady_clock;

  Store& store_;
  const ReadinessLimits limits_;
  std::atomic<bool> is_stopping_ = false;
  std::mutex mutex_;
  bool is_looking_ = false;    // guarded by mutex_
  Clock::time_point began_{};  // guarded by mutex_: of the last look
  Clock::time_point ended_{};  // guarded by mutex_
  std::string obstacle_{};     // guarded by mutex_: that it found
};

}  // namespace fnimage::server
