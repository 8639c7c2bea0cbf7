// Whether a server is ready, with a store that does what the test says.
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/readiness.hpp"

namespace fnimage::server {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

/// Can be looked at, no more.
class CheckedStore final : public Store {
 public:
  Result<std::vector<std::string>> repositories() override { return std::vector<std::string>(); }
  Result<std::shared_ptr<Repository>> find(const std::string& /*name*/) override { return nullptr; }
  Result<std::shared_ptr<Repository>> create(const std::string& /*name*/) override {
    return nullptr;
  }
  Result<std::shared_ptr<Upload>> begin_upload(const std::string& /*repository*/,
                                               const std::string& /*owner*/,
                                               std::string_view /*algorithm*/) override {
    return nullptr;
  }
  Result<std::shared_ptr<Upload>> find_upload(const std::string& /*id*/,
                                              const std::string& /*repository*/,
                                              const std::string& /*owner*/) override {
    return nullptr;
  }
  Result<bool> remove_upload(const std::string& /*id*/, const std::string& /*repository*/,
                             const std::string& /*owner*/) override {
    return false;
  }
  void remove_uploads_of(const std::string& /*owner*/) override {}
  void expire_uploads() override {}

  Result<void> check() override {
    ++checks;
    if (hold.valid()) {
      began.set_value();
      hold.wait();
    }
    return is_good ? Result<void>() : fail(ErrorCode::no_space, "no space for /secret/place");
  }

  std::atomic<int> checks = 0;
  std::atomic<bool> is_good = true;
  std::promise<void> began{};
  std::shared_future<void> hold{};  ///< until then a look takes
};

TEST(Readiness, IsLookedAtNowAndThen) {
  CheckedStore store;
  Readiness lasting(store, {.fresh = hours(1)});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(lasting.obstacle(), "");
  }
  EXPECT_EQ(store.checks, 1);
  store.is_good = false;
  EXPECT_EQ(lasting.obstacle(), "");
  Readiness fleeting(store, {.fresh = milliseconds(0)});
  EXPECT_EQ(fleeting.obstacle(), "the store cannot be used (no_space)");
  store.is_good = true;
  EXPECT_EQ(fleeting.obstacle(), "");
}

TEST(Readiness, EndsWithTheStop) {
  CheckedStore store;
  Readiness readiness(store);
  readiness.stop();
  EXPECT_EQ(readiness.obstacle(), "the server is stopping");
  EXPECT_EQ(store.checks, 0);
}

TEST(Readiness, AStoreThatHangsHoldsOneThreadUp) {
  CheckedStore store;
  std::promise<void> release;
  store.hold = release.get_future().share();
  Readiness patient(store, {.patience = hours(1)});
  {
    const std::jthread looking([&] { EXPECT_EQ(patient.obstacle(), ""); });
    store.began.get_future().wait();
    EXPECT_EQ(patient.obstacle(), "");  // what was known before
    release.set_value();
  }
  std::promise<void> again;
  store.hold = again.get_future().share();
  store.began = std::promise<void>();
  Readiness impatient(store, {.patience = milliseconds(-1)});
  const std::jthread looking([&] { EXPECT_EQ(impatient.obstacle(), ""); });
  store.began.get_future().wait();
  EXPECT_EQ(impatient.obstacle(), "the store does not answer");
  again.set_value();
}

}  // namespace
}  // namespace fnimage::server
