#include "ops/readiness.hpp"

#include <optional>

#include <fmt/format.h>

namespace fnimage::server {

std::string Readiness::obstacle() {
  if (is_stopping_) {
    return "the server is stopping";
  }
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (is_looking_) {
      return now - began_ > limits_.patience ? "the store does not answer" : obstacle_;
    }
    if (ended_ != Clock::time_point() && now - ended_ < limits_.fresh) {
      return obstacle_;
    }
    is_looking_ = true;
    began_ = now;
  }
  const auto looked = store_.check();
  const std::lock_guard lock(mutex_);
  is_looking_ = false;
  ended_ = Clock::now();
  // The message would say where the store is, which is nobody's business.
  obstacle_ = looked
                  ? std::string()
                  : fmt::format("the store cannot be used ({})", to_string(looked.error().code()));
  return obstacle_;
}

}  // namespace fnimage::server
