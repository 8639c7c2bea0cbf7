// The worker pool: every task runs, the earliest error wins, nested waiting does not deadlock.
#include <atomic>
#include <memory>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage {
namespace {

using test::fails_with;
using test::is_ok;
using ::testing::HasSubstr;

TEST(TaskGroup, RunsEveryTask) {
  WorkerPool pool(4);
  EXPECT_EQ(pool.threads(), 4U);
  std::atomic<int> sum = 0;
  TaskGroup group(pool);
  for (int i = 1; i <= 1000; ++i) {
    group.run([&sum, i]() -> Result<void> {
      sum += i;
      return {};
    });
  }
  EXPECT_THAT(group.wait(), is_ok());
  EXPECT_EQ(sum, 500500);
}

TEST(TaskGroup, TasksAfterAFailedOneAreSkipped) {
  WorkerPool pool(1);
  std::atomic<int> ran = 0;
  TaskGroup group(pool);
  // The caller helps, so only tasks queued behind the failing one are certain to be skipped.
  group.run([&]() -> Result<void> { return fail(ErrorCode::tls, "first"); });
  EXPECT_THAT(group.wait(), fails_with(ErrorCode::tls, "first"));
  for (int i = 0; i < 10; ++i) {
    group.run([&]() -> Result<void> {
      ++ran;
      return fail(ErrorCode::io, "later");
    });
  }
  EXPECT_THAT(group.wait(), fails_with(ErrorCode::tls, "first"));
  EXPECT_EQ(ran, 0);
}

TEST(TaskGroup, APoolThatIsStoppedBeginsNothing) {
  std::stop_source stop;
  WorkerPool pool(1, stop.get_token());
  std::atomic<int> ran = 0;
  {
    TaskGroup group(pool);
    group.run([&]() -> Result<void> {
      ++ran;
      stop.request_stop();
      return {};
    });
    EXPECT_THAT(group.wait(), is_ok()) << "what has begun is not disturbed";
  }
  TaskGroup group(pool);
  group.run([&]() -> Result<void> {
    ++ran;
    return {};
  });
  EXPECT_THAT(group.wait(), fails_with(ErrorCode::cancelled));
  EXPECT_EQ(ran, 1);
}

TEST(TaskGroup, TheErrorIsTheEarliestTasksWhicheverThreadIsFaster) {
  WorkerPool pool(4);
  TaskGroup group(pool);
  std::atomic<bool> later_failed = false;
  group.run([&]() -> Result<void> {
    later_failed.wait(false);
    return fail(ErrorCode::io, "earlier");
  });
  group.run([&]() -> Result<void> {
    later_failed = true;
    later_failed.notify_all();
    return fail(ErrorCode::tls, "later");
  });
  EXPECT_THAT(group.wait(), fails_with(ErrorCode::io, "earlier"));
}

TEST(TaskGroup, AnExceptionBecomesAnError) {
  WorkerPool pool(2);
  TaskGroup group(pool);
  group.run([]() -> Result<void> { throw std::runtime_error("oops"); });
  EXPECT_THAT(group.wait(), fails_with(ErrorCode::internal, HasSubstr("oops")));
}

Result<void> recurse(WorkerPool& pool, int depth, std::atomic<int>& leaves) {
  if (depth == 0) {
    ++leaves;
    return {};
  }
  TaskGroup group(pool);
  for (int i = 0; i < 3; ++i) {
    group.run([&pool, depth, &leaves] { return recurse(pool, depth - 1, leaves); });
  }
  return group.wait();
}

TEST(TaskGroup, TasksMayWaitForTasksOfTheSamePool) {
  for (const std::size_t threads : {1U, 2U, 5U}) {
    WorkerPool pool(threads);
    std::atomic<int> leaves = 0;
    EXPECT_THAT(recurse(pool, 6, leaves), is_ok());
    EXPECT_EQ(leaves, 729);
  }
}

TEST(TaskGroup, GroupsAreIndependent) {
  WorkerPool pool(2);
  TaskGroup failing(pool);
  TaskGroup working(pool);
  failing.run([]() -> Result<void> { return fail(ErrorCode::io, "x"); });
  std::atomic<bool> ran = false;
  working.run([&]() -> Result<void> {
    ran = true;
    return {};
  });
  EXPECT_THAT(working.wait(), is_ok());
  EXPECT_TRUE(ran);
  EXPECT_THAT(failing.wait(), fails_with(ErrorCode::io));
}

TEST(TaskGroup, WaitingTakesNoOtherGroupsTasks) {
  WorkerPool pool(1);
  TaskGroup other(pool);
  std::atomic<bool> released = false;
  std::atomic<bool> ran = false;
  other.run([&]() -> Result<void> {  // keeps the pool's only thread
    released.wait(false);
    return {};
  });
  other.run([&]() -> Result<void> {
    ran = true;
    return {};
  });
  TaskGroup group(pool);
  group.run([]() -> Result<void> { return {}; });
  EXPECT_THAT(group.wait(), is_ok());
  EXPECT_FALSE(ran);
  released = true;
  released.notify_all();
  EXPECT_THAT(other.wait(), is_ok());
  EXPECT_TRUE(ran);
}

TEST(TaskGroup, DestructorWaits) {
  WorkerPool pool(2);
  std::atomic<int> ran = 0;
  {
    TaskGroup group(pool);
    for (int i = 0; i < 100; ++i) {
      group.run([&]() -> Result<void> {
        ++ran;
        return {};
      });
    }
  }
  EXPECT_EQ(ran, 100);
}

TEST(TaskGroup, WhatATaskHoldsIsGoneAfterWait) {
  WorkerPool pool(2);
  const auto held = std::make_shared<int>(1);
  TaskGroup group(pool);
  for (int i = 0; i < 20; ++i) {
    group.run([held]() -> Result<void> { return {}; });
  }
  EXPECT_THAT(group.wait(), is_ok());
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkerPool, EndsWithQueuedTasks) {
  const auto ran = std::make_shared<std::atomic<int>>(0);
  {
    WorkerPool pool(1);
    for (int i = 0; i < 100; ++i) {
      pool.submit([ran] { ++*ran; });
    }
  }
  EXPECT_LE(*ran, 100);
  EXPECT_EQ(ran.use_count(), 1);  // dropped tasks are destroyed with the pool
}

}  // namespace
}  // namespace fnimage
