// The terminal: results go to standard output, everything else to standard error. On a terminal the
// running tasks are bars, drawn anew at most ten times a second; elsewhere each finished task is a
// line. Thread-safety: all methods may be called from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/error.hpp>

#include "options.hpp"

namespace fnimage::cli {

struct ConsoleOptions {
  ProgressMode progress = ProgressMode::automatic;
  bool quiet = false;  ///< warnings only
  bool debug = false;
  bool json = false;  ///< errors go to standard output as JSON too
};

class Console final : public Diagnostics {
 public:
  explicit Console(const ConsoleOptions& options);
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console() override;

  void report(Severity severity, std::string_view message) noexcept override;
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override;

  /// What was printed as JSON says how the command failed, too: print_error() adds no JSON.
  void result_says_error() noexcept { result_says_error_ = true; }
  /// From now on tasks show nothing. Call it before the first of them.
  void hide_progress() noexcept {
    bars_ = false;
    options_.progress = ProgressMode::none;
  }

  /// Text of our own for standard output, as it is.
  void print(std::string_view text);
  /// Text from outside for standard output: made harmless line by line when that is a terminal.
  void print_foreign(std::string_view text);
  /// "fnimage: error: …" and the hint.
  void print_error(const Error& error);
  /// Ends the bars and writes out standard output. Error: io when not all of it could be written.
  Result<void> close();

 private:
  struct Task {
    std::string label;
    std::uint64_t total = 0;
    std::atomic<std::uint64_t> done{0};
  };
  class Handle;

  void finish(const std::shared_ptr<Task>& task, std::string_view outcome);
  void write_line(std::string_view text);  ///< to standard error, above the bars; mutex_ is held
  void erase_bars();                       ///< mutex_ is held
  void draw_bars();                        ///< mutex_ is held
  [[nodiscard]] std::string bar(const Task& task, std::size_t width) const;
  void render(const std::stop_token& stop);

  ConsoleOptions options_;
  bool bars_ = false;
  bool color_ = false;
  bool result_says_error_ = false;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::shared_ptr<Task>> active_;
  std::size_t drawn_ = 0;  ///< lines of bars on the screen
  std::jthread renderer_;  ///< last member: ends before the rest goes
};

}  // namespace fnimage::cli
