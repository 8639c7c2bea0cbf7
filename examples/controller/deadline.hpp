// Ends what takes too long: a webhook that answers late is a webhook that failed. One thread for
// all deadlines. Thread-safety: any number of threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace controller {

class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  using Key = std::pair<Clock::time_point, std::uint64_t>;  ///< with a number: times may be equal

  /// Its token is asked to stop at that time, unless it is gone before.
  class Deadline {
   public:
    Deadline(Deadlines& all, Clock::time_point time);
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    ~Deadline();
    [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

   private:
    Deadlines& all_;
    std::stop_source source_;
    Key key_;
  };

  Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;
  ~Deadlines() = default;

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<Key, std::stop_source> waiting_;
  std::uint64_t made_ = 0;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace controller
