// SIGINT and SIGTERM (F36): the first one asks everything to stop, so that open uploads are
// cancelled and temporary files removed; if that takes too long, or a second one comes, the process
// dies of it at once. Thread-safety: made once, by the main thread, before there are others.
#pragma once

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

namespace fnimage::cli {

class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
  /// For a command that ends another program when it is asked to stop, and waits for it: there is
  /// no limit of time any more, the second signal asks the token that is returned, and the third
  /// one is the process's death.
  std::stop_token take() {
    taken_ = true;
    return insisting_.get_token();
  }
  [[nodiscard]] bool is_taken() const noexcept { return taken_; }
  /// The signal that came; 0 = none.
  [[nodiscard]] int signal() const noexcept { return signal_; }

 private:
  void wait(const std::stop_token& done);
  [[noreturn]] void die(int signal) const;

  sigset_t signals_{};
  std::stop_source source_;
  std::stop_source insisting_;
  std::atomic<bool> taken_ = false;
  std::atomic<int> signal_ = 0;
  std::jthread thread_;
};

}  // namespace fnimage::cli
