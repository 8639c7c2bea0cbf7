// Questions that several ask at the same time: each is put once, and all get the same answer.
// Thread-safety: all methods from several threads.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace fnimage::server {

template <class Answer>
class Questions {
 public:
  using Take = std::function<void(const Answer&)>;

  /// @param take called once with the answer, from the thread that has it. True: nobody has asked
  /// this; the caller has to see to an answer().
  bool ask(const std::string& question, Take take) {
    const std::lock_guard lock(mutex_);
    std::vector<Take>& waiting = waiting_[question];
    waiting.push_back(std::move(take));
    return waiting.size() == 1;
  }
  void answer(const std::string& question, const Answer& answer) {
    std::vector<Take> waiting;
    {
      const std::lock_guard lock(mutex_);
      const auto found = waiting_.find(question);
      if (found != waiting_.end()) {
        waiting = std::move(found->second);
        waiting_.erase(found);
      }
    }
    for (const Take& take : waiting) {
      take(answer);
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<Take>> waiting_{};  // guarded by mutex_; none is empty
};

}  // namespace fnimage::server
