// A file descriptor with one owner. Thread-safety: a value type.
#pragma once

#include <utility>

#include <unistd.h>

namespace fnimage::run {

class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(long value) noexcept : value_(static_cast<int>(value)) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = std::exchange(other.value_, -1);
    }
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  explicit operator bool() const noexcept { return value_ >= 0; }
  [[nodiscard]] int get() const noexcept { return value_; }
  void reset() noexcept {
    if (value_ >= 0) {
      ::close(std::exchange(value_, -1));
    }
  }

 private:
  int value_ = -1;
};

}  // namespace fnimage::run
