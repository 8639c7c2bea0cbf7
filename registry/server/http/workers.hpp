// Threads for what may wait: the disk, a lock, another registry. Thread-safety: post() from any
// thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <utility>  // Boost 1.74's asio forgets it

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace fnimage::server {

class Workers {
 public:
  /// @param waiting so many tasks may wait for a thread.
  Workers(std::size_t threads, std::size_t waiting)
      : pool_(std::max<std::size_t>(threads, 1)), most_(threads + waiting) {}

  /// False = too many wait already. The task must not throw.
  bool post(std::function<void()> task) {
    if (tasks_.fetch_add(1) >= most_) {
      tasks_.fetch_sub(1);
      return false;
    }
    boost::asio::post(pool_, [this, task = std::move(task)]() mutable {
      task();
      task = nullptr;  // what it holds ends before it counts as done
      tasks_.fetch_sub(1);
    });
    return true;
  }
  /// Waits for those that have begun or wait.
  void join() { pool_.join(); }

 private:
  boost::asio::thread_pool pool_;
  std::atomic<std::size_t> tasks_ = 0;
  const std::size_t most_;
};

}  // namespace fnimage::server
