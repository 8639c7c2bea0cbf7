// See exchange.hpp. Every member is guarded by mutex_.
#include "exchange.hpp"

#include <algorithm>
#include <utility>

namespace fnimage::registry {

bool Exchange::deliver(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (abandoned_) {
    return true;  // dropped: the caller has already given up and the transfer is being removed
  }
  if (received_.size() >= max_received) {
    receive_paused_ = true;
    return false;
  }
  received_ += bytes;
  changed_.notify_one();
  return true;
}

std::optional<std::size_t> Exchange::collect(char* target, std::size_t capacity) {
  const std::lock_guard lock(mutex_);
  std::size_t copied = 0;
  while (copied < capacity && !chunks_.empty()) {
    const std::string& front = chunks_.front();
    const std::size_t count = std::min(capacity - copied, front.size() - front_offset_);
    front.copy(target + copied, count, front_offset_);
    copied += count;
    front_offset_ += count;
    if (front_offset_ == front.size()) {
      chunks_.pop_front();
      front_offset_ = 0;
      changed_.notify_one();
    }
  }
  sent_ += copied;
  if (copied > 0 || body_ended_) {
    return copied;
  }
  send_paused_ = true;
  return std::nullopt;
}

void Exchange::moved(std::uint64_t sent) {
  const std::lock_guard lock(mutex_);
  sent_ = sent;
  if (news()) {
    changed_.notify_one();
  }
}

void Exchange::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_one();
}

Exchange::Step Exchange::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    return finished_ || (!abandoned_ && (!received_.empty() || news() || wants_body()));
  });
  Step step;
  step.finished = finished_;
  step.sent = sent_;
  told_ = sent_;
  if (!abandoned_) {
    step.received = std::exchange(received_, {});
    step.resume = std::exchange(receive_paused_, false);
    step.wants_body = wants_body();
  }
  return step;
}

bool Exchange::supply(std::string chunk) {
  const std::lock_guard lock(mutex_);
  has_body_ = true;
  if (chunk.empty()) {
    body_ended_ = true;
  } else {
    chunks_.push_back(std::move(chunk));
  }
  return std::exchange(send_paused_, false);
}

void Exchange::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
}

}  // namespace fnimage::registry
