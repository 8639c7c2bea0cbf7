// See interrupt.hpp. The signals are blocked in every thread and waited for in one, so nothing runs
// in a handler.
#include "interrupt.hpp"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include <pthread.h>
#include <unistd.h>

namespace fnimage::cli {

namespace {

constexpr std::chrono::seconds grace{2};
/// Ends the wait when the program is over; never seen by anybody else.
constexpr int wake_signal = SIGUSR2;

}  // namespace

Interrupt::Interrupt() {
  ::sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, wake_signal}) {
    ::sigaddset(&signals_, signal);
  }
  // Whoever started this with a signal ignored (nohup and the like) means it.
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
      ::sigdelset(&signals_, signal);
    }
  }
  ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  thread_ = std::jthread([this](const std::stop_token& done) { wait(done); });
}

Interrupt::~Interrupt() {
  thread_.request_stop();
  ::pthread_kill(thread_.native_handle(), wake_signal);
  thread_.join();
}

void Interrupt::wait(const std::stop_token& done) {
  int signal = 0;
  while (!done.stop_requested()) {
    const timespec limit{.tv_sec = grace.count(), .tv_nsec = 0};
    const int got = signal_ == 0 || taken_ ? ::sigwaitinfo(&signals_, nullptr)
                                           : ::sigtimedwait(&signals_, nullptr, &limit);
    if (done.stop_requested() || (got < 0 && errno == EINTR) || got == wake_signal) {
      continue;
    }
    if (signal_ != 0 && taken_ && insisting_.request_stop()) {
      continue;
    }
    if (signal_ != 0) {
      die(got > 0 ? got : signal);  // again, or the time is over
    }
    signal = got;
    signal_ = got;
    source_.request_stop();
  }
}

void Interrupt::die(int signal) const {
  std::signal(signal, SIG_DFL);  // NOLINT(cert-err33-c): cannot fail for this signal
  ::pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  ::kill(::getpid(), signal);
  std::_Exit(128 + signal);
}

}  // namespace fnimage::cli
