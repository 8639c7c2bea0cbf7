// The way to a loop for whoever may outlive it. Thread-safety: from any thread.
#pragma once

#include <functional>
#include <mutex>
#include <utility>  // Boost 1.74's asio forgets it

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace fnimage::server {

class LoopDoor {
 public:
  explicit LoopDoor(boost::asio::io_context& context) : context_(&context) {}

  /// Has the task run on the loop's thread. When the loop has ended it is dropped, on this thread:
  /// so it may own nothing that belongs to the loop.
  void post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    if (context_ != nullptr) {
      boost::asio::post(*context_, std::move(task));
    }
  }
  /// The loop ends.
  void close() {
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
  }

 private:
  std::mutex mutex_;
  boost::asio::io_context* context_;  // guarded by mutex_; null = it has ended
};

}  // namespace fnimage::server
