// How long a client may take for what it is doing. Thread-safety: a value.
#pragma once

#include <chrono>
#include <cstdint>

#include "http/http_server.hpp"

namespace fnimage::server {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  /// Something begins that must be over after `time`, however it goes on.
  void allow(std::chrono::seconds time) {
    begin(Rule::deadline);
    deadline_ = since_ + time;
  }
  /// A body begins, or an answer: it may take any time while it goes on.
  void transfer() {
    begin(Rule::progress);
    window_ = since_;
    progress_ = 0;
  }
  /// It is the server's turn.
  void pause() { begin(Rule::none); }
  void progress(std::uint64_t bytes) { progress_ += bytes; }

  /// To be asked now and then: by whom it is asked rarely, more time is given.
  [[nodiscard]] bool is_over(Clock::time_point now, const HttpLimits& limits) {
    if (rule_ == Rule::deadline) {
      return now >= deadline_;
    }
    if (rule_ == Rule::none || now - window_ < limits.stall_time) {
      return false;
    }
    if (progress_ < limits.stall_bytes) {
      return true;
    }
    window_ = now;
    progress_ = 0;
    return false;
  }
  /// When that began.
  [[nodiscard]] Clock::time_point since() const { return since_; }

 private:
  enum class Rule : std::uint8_t { none, deadline, progress };
  void begin(Rule rule) {
    rule_ = rule;
    since_ = Clock::now();
  }

  Rule rule_ = Rule::none;
  Clock::time_point since_{};
  Clock::time_point deadline_{};
  Clock::time_point window_{};  ///< since when progress is counted
  std::uint64_t progress_ = 0;  ///< bytes
};

}  // namespace fnimage::server
