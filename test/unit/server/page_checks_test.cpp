// Checks in the background: one after the other, bounded, and ended by a stop.
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "page/checks.hpp"
#include "page/lru.hpp"

namespace fnimage::server {

namespace {

manifest::Digest digest_number(std::size_t number) {
  return manifest::Digest::of(std::to_string(number));
}

/// A check that ends when it is told to.
class HeldCheck {
 public:
  Checks::Check function() {
    return [this](const CheckTask& task) { return run(task); };
  }
  void release() {
    const std::lock_guard lock(mutex_);
    is_released_ = true;
    changes_.notify_all();
  }
  void wait_until_begun(std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    changes_.wait(lock, [&] { return begun_ >= count; });
  }
  std::string layout() {
    const std::lock_guard lock(mutex_);
    return layout_;
  }

 private:
  Result<CheckSummary> run(const CheckTask& task) {
    std::unique_lock lock(mutex_);
    ++begun_;
    layout_ = task.layout.string();
    changes_.notify_all();
    if (!changes_.wait(lock, task.stop, [&] { return is_released_; })) {
      return fail(ErrorCode::cancelled, "stopped");
    }
    CheckSummary summary;
    CheckFinding finding;
    finding.message = std::string(5000, 'x');
    summary.parts.push_back({.name = "linux/amd64"});
    summary.parts.back().findings.resize(5000, finding);
    return summary;
  }

  std::mutex mutex_{};
  std::condition_variable_any changes_{};
  bool is_released_ = false;
  std::size_t begun_ = 0;
  std::string layout_{};
};

void wait_for_end(Checks& checks, const manifest::Digest& digest) {
  while (checks.is_going_on("team/a", digest)) {
    std::this_thread::yield();
  }
}

TEST(PageChecks, AResultIsKeptAndBounded) {
  HeldCheck check;
  Checks checks(check.function(), "/store");
  const auto digest = digest_number(0);
  EXPECT_EQ(checks.outcome("team/a", digest), nullptr);
  EXPECT_EQ(checks.begin("team/a", digest), Checks::Begun::yes);
  EXPECT_TRUE(checks.is_going_on("team/a", digest));
  EXPECT_FALSE(checks.is_going_on("team/b", digest));
  check.release();
  wait_for_end(checks, digest);
  const auto outcome = checks.outcome("team/a", digest);
  ASSERT_NE(outcome, nullptr);
  ASSERT_EQ(outcome->summary.parts.size(), 1U);
  EXPECT_LE(outcome->summary.parts[0].findings.size(), 100U);
  EXPECT_LE(outcome->summary.parts[0].findings[0].message.size(), 1000U);
  EXPECT_EQ(check.layout(), "/store/team/a");
  EXPECT_EQ(checks.outcome("team/b", digest), nullptr);
}

TEST(PageChecks, SoManyMayWait) {
  HeldCheck check;
  Checks checks(check.function(), "/store");
  EXPECT_EQ(checks.begin("team/a", digest_number(0)), Checks::Begun::yes);
  check.wait_until_begun();
  std::size_t begun = 0;
  for (std::size_t i = 1; i < 100; ++i) {
    begun += checks.begin("team/a", digest_number(i)) == Checks::Begun::yes ? 1U : 0U;
  }
  EXPECT_EQ(begun, 16U);
  // One that waits already is no new one.
  EXPECT_EQ(checks.begin("team/a", digest_number(1)), Checks::Begun::yes);
  check.release();
  wait_for_end(checks, digest_number(16));
  EXPECT_EQ(checks.begin("team/a", digest_number(99)), Checks::Begun::yes);
}

TEST(PageChecks, AStopEndsTheOneThatGoesOn) {
  HeldCheck check;
  {
    Checks checks(check.function(), "/store");
    checks.begin("team/a", digest_number(0));
    checks.begin("team/a", digest_number(1));
    check.wait_until_begun();
    checks.stop();
    wait_for_end(checks, digest_number(0));
    EXPECT_EQ(checks.outcome("team/a", digest_number(0))->error, "stopped");
  }  // ends, though nobody has released it
}

TEST(PageChecks, PathsOfThisMachineAreNotTold) {
  Checks checks(
      [](const CheckTask&) -> Result<CheckSummary> {
        return fail(ErrorCode::io, "read /srv/secret/file: input/output error");
      },
      "/store");
  checks.begin("team/a", digest_number(0));
  wait_for_end(checks, digest_number(0));
  EXPECT_EQ(checks.outcome("team/a", digest_number(0))->error.find("secret"), std::string::npos);
}

TEST(PageChecks, WithoutACheckNoneIsOffered) {
  Checks checks({}, "/store");
  EXPECT_FALSE(checks.is_offered());
  EXPECT_EQ(checks.begin("team/a", digest_number(0)), Checks::Begun::busy);
}

TEST(PageLru, KeepsWhatWasUsedLast) {
  Lru<int> kept(2);
  kept.put("a", std::make_shared<int>(1));
  kept.put("b", std::make_shared<int>(2));
  EXPECT_EQ(*kept.find("a"), 1);
  kept.put("c", std::make_shared<int>(3));
  EXPECT_EQ(kept.find("b"), nullptr);
  kept.put("a", std::make_shared<int>(4));
  EXPECT_EQ(*kept.find("a"), 4);
  EXPECT_EQ(*kept.find("c"), 3);
}

}  // namespace

}  // namespace fnimage::server
