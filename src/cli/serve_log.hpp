// Lines for a descriptor whose reader may be slow, or gone: whoever writes one never waits. Lines
// are lost when too many wait. Thread-safety: write() from any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

namespace fnimage::cli {

class LineWriter {
 public:
  /// @param descriptor not owned.
  explicit LineWriter(int descriptor);
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  /// Writes what waits, for a second at most.
  ~LineWriter();

  /// @param line without its end.
  void write(std::string_view line);

 private:
  void run(const std::stop_token& stop);
  void write_out(std::string_view text, const std::stop_token& stop) const;

  const int descriptor_;
  std::mutex mutex_;
  std::condition_variable_any wakes_;
  std::string waiting_{};  // guarded by mutex_
  std::jthread thread_;    ///< last member: ends before the rest goes
};

}  // namespace fnimage::cli
