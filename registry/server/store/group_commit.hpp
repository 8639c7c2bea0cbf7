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
  /// What it throws is thrown to the one that it is called on; to the others it looks as if it had
  /// returned.
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
      Committing committing(*this, batch);
      commit_batch(batch, commit);
      lock = committing.end();
    }
  }

 private:
  struct Waiting {
    Change* change;
    bool is_done = false;
  };
  /// Nobody may wait for ever, also when there is no memory for a commit.
  class Committing {
   public:
    Committing(GroupCommit& all, const std::vector<Waiting*>& batch) : all_(all), batch_(batch) {}
    Committing(const Committing&) = delete;
    Committing& operator=(const Committing&) = delete;
    ~Committing() {
      if (!is_over_) {
        (void)end();
      }
    }
    std::unique_lock<std::mutex> end() {
      std::unique_lock lock(all_.mutex_);
      is_over_ = true;
      all_.is_committing_ = false;
      for (Waiting* one : batch_) {
        one->is_done = true;
      }
      all_.done_.notify_all();
      return lock;
    }

   private:
    GroupCommit& all_;
    const std::vector<Waiting*>& batch_;
    bool is_over_ = false;
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
