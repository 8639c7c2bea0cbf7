// Changes of one thing that each need the same costly write: whoever comes first writes for all who
// wait at that moment. Thread-safety: run() from several threads.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

namespace fnimage::server {

template <class Change>
class GroupCommit {
 public:
  /// Returns when the change has been through `commit(std::vector<Change*>)`, called on this or
  /// another waiting thread, never twice at once, with the changes in the order in which they came.
  template <class Commit>
  void run(Change& change, Commit commit) {
    Waiting self{&change};
    std::unique_lock lock(mutex_);
    waiting_.push_back(&self);
    while (!self.is_done) {
      if (is_committing_) {
        done_.wait(lock);
        continue;
      }
      const std::vector<Waiting*> batch = std::exchange(waiting_, {});
      is_committing_ = true;
      lock.unlock();
      commit_batch(batch, commit);
      lock.lock();
      is_committing_ = false;
      for (Waiting* one : batch) {
        one->is_done = true;
      }
      done_.notify_all();
    }
  }

 private:
  struct Waiting {
    Change* change;
    bool is_done = false;
  };
  template <class Commit>
  static void commit_batch(const std::vector<Waiting*>& batch, Commit& commit) {
    std::vector<Change*> changes;
    changes.reserve(batch.size());
    for (const Waiting* one : batch) {
      changes.push_back(one->change);
    }
    commit(changes);
  }

  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<Waiting*> waiting_{};  // guarded by mutex_
  bool is_committing_ = false;       // guarded by mutex_
};

}  // namespace fnimage::server
