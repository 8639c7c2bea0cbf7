// What was learnt lately, each for a time; what was not asked for longest goes first when there is
// too much. Thread-safety: all methods from several threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace fnimage::server {

template <class Value>
class Recent {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param limit of the weights of all.
  explicit Recent(std::size_t limit) : limit_(limit) {}

  /// Nullopt: nothing, or its time is up.
  std::optional<Value> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end() || found->second->until <= Clock::now()) {
      return std::nullopt;
    }
    kept_.splice(kept_.begin(), kept_, found->second);
    return found->second->value;
  }
  void set(const std::string& key, Value value, std::chrono::milliseconds time,
           std::size_t weight = 1) {
    const std::lock_guard lock(mutex_);
    drop(key);
    if (weight > limit_) {
      return;
    }
    kept_.push_front({key, std::move(value), Clock::now() + time, weight});
    by_key_[key] = kept_.begin();
    weight_ += weight;
    while (weight_ > limit_) {
      drop(std::string(kept_.back().key));
    }
  }
  void forget(const std::string& key) {
    const std::lock_guard lock(mutex_);
    drop(key);
  }

 private:
  struct Kept {
    std::string key;
    Value value;
    Clock::time_point until;
    std::size_t weight = 0;
  };
  void drop(const std::string& key) {
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
      weight_ -= found->second->weight;
      kept_.erase(found->second);
      by_key_.erase(found);
    }
  }

  const std::size_t limit_;
  std::mutex mutex_;
  std::size_t weight_ = 0;  // guarded by mutex_, as what follows
  std::list<Kept> kept_{};  // used last comes first
  std::unordered_map<std::string, typename std::list<Kept>::iterator> by_key_{};
};

}  // namespace fnimage::server
