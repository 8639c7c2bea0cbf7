// See the header.
#include "deadline.hpp"

namespace controller {

Deadlines::Deadline::Deadline(Deadlines& all, Clock::time_point time) : all_(all) {
  const std::lock_guard lock(all_.mutex_);
  key_ = {time, all_.made_++};
  all_.waiting_.emplace(key_, source_);
  if (all_.waiting_.begin()->first == key_) {
    all_.changed_.notify_one();
  }
}

Deadlines::Deadline::~Deadline() {
  const std::lock_guard lock(all_.mutex_);
  all_.waiting_.erase(key_);
}

Deadlines::Deadlines() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

void Deadlines::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (waiting_.empty()) {
      changed_.wait(lock, stop, [&] { return !waiting_.empty(); });
      continue;
    }
    const Clock::time_point next = waiting_.begin()->first.first;
    if (next > Clock::now()) {
      changed_.wait_until(lock, stop, next, [&] {
        return !waiting_.empty() && waiting_.begin()->first.first < next;
      });
      continue;
    }
    std::stop_source passed = waiting_.extract(waiting_.begin()).mapped();
    lock.unlock();  // whoever waits for the token is called from here
    passed.request_stop();
    lock.lock();
  }
}

}  // namespace controller
