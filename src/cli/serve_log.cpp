#include "serve_log.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include <poll.h>
#include <unistd.h>

namespace fnimage::cli {

namespace {

constexpr std::size_t most_waiting = std::size_t{4} << 20U;  // bytes
/// What a pipe that can be written takes without waiting: PIPE_BUF.
constexpr std::size_t piece = 4096;
constexpr std::chrono::milliseconds poll_time{100};
constexpr std::chrono::seconds end_time{1};

/// As many whole lines as one call may write.
std::string_view next_piece(std::string_view text) {
  if (text.size() <= piece) {
    return text;
  }
  const std::size_t end = text.rfind('\n', piece - 1);
  return text.substr(0, end == std::string_view::npos ? piece : end + 1);
}

bool can_be_written(int descriptor) {
  pollfd one{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(poll_time.count())) > 0;
}

}  // namespace

LineWriter::LineWriter(int descriptor)
    : descriptor_(descriptor), thread_([this](const std::stop_token& stop) { run(stop); }) {}

LineWriter::~LineWriter() = default;

void LineWriter::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() + line.size() < most_waiting) {
    const bool is_first = waiting_.empty();
    waiting_ += line;
    waiting_ += '\n';
    if (is_first) {
      wakes_.notify_one();
    }
  }
}

void LineWriter::run(const std::stop_token& stop) {
  std::string text;
  std::unique_lock lock(mutex_);
  while (wakes_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    text.clear();
    std::swap(text, waiting_);
    lock.unlock();
    write_out(text, stop);
    lock.lock();
  }
}

/// What cannot be written (a closed pipe, a full disk) is dropped: the next line may find its way.
void LineWriter::write_out(std::string_view text, const std::stop_token& stop) const {
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> end;
  while (!text.empty()) {
    if (stop.stop_requested() && !end) {
      end = Clock::now() + end_time;
    }
    if (end && Clock::now() > *end) {
      return;
    }
    if (!can_be_written(descriptor_)) {
      continue;
    }
    const std::string_view next = next_piece(text);
    const ssize_t count = ::write(descriptor_, next.data(), next.size());
    if (count < 0 && errno != EINTR && errno != EAGAIN) {
      return;
    }
    text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
}

}  // namespace fnimage::cli
