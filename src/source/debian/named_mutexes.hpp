// One mutex per name, for work that different threads must not do twice. Thread-safety: from any
// thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace fnimage::source::debian {

class NamedMutexes {
 public:
  std::shared_ptr<std::mutex> get(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto& slot = mutexes_[name];
    if (slot == nullptr) {
      slot = std::make_shared<std::mutex>();
    }
    return slot;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<std::mutex>> mutexes_;
};

}  // namespace fnimage::source::debian
