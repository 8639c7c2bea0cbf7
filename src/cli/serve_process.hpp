// `fnimage serve` as a process among others: what it needs of the kernel, what it tells a service
// manager, and how long its end may take. Thread-safety: belongs to the main thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <thread>

namespace fnimage::cli {

/// As many files and connections as this process is allowed to ask for, up to about a million: the
/// usual limit of 1,024 is for programs that use select().
void raise_file_limit();

/// sd_notify(3): "READY=1", "STOPPING=1". Does nothing when nobody waits for it.
void tell_service_manager(std::string_view state);

/// The end of a server: what is in progress when a stop is asked for may take a while, and not
/// longer, whatever it waits for (a disk that has gone). What was answered is safe then, too.
class StopLimit {
 public:
  /// @param stop a stop is asked for. @param time from then on (and a second), after which the
  /// process ends with success. @param at_once it is asked for again: the process ends as if
  /// SIGTERM had killed it.
  StopLimit(std::stop_token stop, const std::stop_token& at_once, std::chrono::seconds time);
  StopLimit(const StopLimit&) = delete;
  StopLimit& operator=(const StopLimit&) = delete;
  /// It is over in time.
  ~StopLimit() = default;

 private:
  using Callback = std::stop_callback<std::function<void()>>;
  void watch(const std::stop_token& over);

  const std::stop_token stop_;
  const std::chrono::seconds time_;
  std::mutex mutex_;
  std::condition_variable_any wakes_;
  Callback on_stop_;
  Callback on_insistence_;
  std::jthread watcher_;  ///< last member: ends before the rest goes
};

}  // namespace fnimage::cli
