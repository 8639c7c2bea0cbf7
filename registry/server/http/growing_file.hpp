// A file that is sent while somebody else still writes it. What its bytes are is known at their end
// only: so readers get the last byte of what they asked for when the whole has been found right,
// and nobody who got wrong bytes can take them for a complete answer. Thread-safety: all methods
// from several threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "http/open_file.hpp"

namespace fnimage::server {

class GrowingFile {
 public:
  enum class Standing : std::uint8_t { growing, whole, broken };
  struct Reach {
    Standing standing = Standing::growing;
    std::uint64_t size = 0;  ///< bytes that are there, from the beginning
    /// Of bytes up to `end`, so many may be sent now.
    [[nodiscard]] std::uint64_t sendable(std::uint64_t end) const {
      const std::uint64_t held_back = standing == Standing::whole || end == 0 ? 0 : 1;
      return std::min(size, end - held_back);
    }
  };

  explicit GrowingFile(std::shared_ptr<const OpenFile> file) : file_(std::move(file)) {}

  /// To read from; its size() says nothing.
  [[nodiscard]] const OpenFile& file() const noexcept { return *file_; }
  [[nodiscard]] Reach reach() const {
    const std::lock_guard lock(mutex_);
    return reach_;
  }
  /// Has `wake` called once when there is more than `known`, from the thread that writes: it must
  /// not wait, nor use this object. False: there is more already, and it is not called.
  bool when_more(const Reach& known, std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    if (reach_.size != known.size || reach_.standing != known.standing) {
      return false;
    }
    waiting_.push_back(std::move(wake));
    return true;
  }

  // For the one that writes.

  void grew_to(std::uint64_t size) { change({Standing::growing, size}); }
  /// Nothing more comes. @param is_whole all bytes are there and right.
  void end(bool is_whole) { change({is_whole ? Standing::whole : Standing::broken, reach().size}); }

 private:
  void change(const Reach& reach) {
    std::vector<std::function<void()>> woken;
    {
      const std::lock_guard lock(mutex_);
      reach_ = reach;
      woken.swap(waiting_);
    }
    for (const auto& wake : woken) {
      wake();
    }
  }

  const std::shared_ptr<const OpenFile> file_;
  mutable std::mutex mutex_;
  Reach reach_{};                                 // guarded by mutex_
  std::vector<std::function<void()>> waiting_{};  // guarded by mutex_
};

}  // namespace fnimage::server
