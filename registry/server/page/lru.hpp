// Values that were made lately, by a key: so many, those used last. Thread-safety: all methods from
// several threads.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace fnimage::server {

template <class Value>
class Lru {
 public:
  /// @param most values that are kept.
  explicit Lru(std::size_t most) : most_(most) {}

  /// Null = not kept.
  std::shared_ptr<const Value> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) {
      return nullptr;
    }
    kept_.splice(kept_.begin(), kept_, found->second);
    return found->second->second;
  }

  void put(const std::string& key, std::shared_ptr<const Value> value) {
    const std::lock_guard lock(mutex_);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      kept_.erase(found->second);
      by_key_.erase(found);
    }
    kept_.emplace_front(key, std::move(value));
    by_key_.emplace(key, kept_.begin());
    if (kept_.size() > most_) {
      by_key_.erase(kept_.back().first);
      kept_.pop_back();
    }
  }

 private:
  using Kept = std::list<std::pair<std::string, std::shared_ptr<const Value>>>;
  const std::size_t most_;
  std::mutex mutex_;
  Kept kept_{};  // used last comes first
  std::unordered_map<std::string, typename Kept::iterator> by_key_{};
};

}  // namespace fnimage::server
