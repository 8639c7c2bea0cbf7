// Parts of the store that can be asked on their own.
#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>

#include "store/group_commit.hpp"
#include "store/manifest_cache.hpp"
#include "store/running_hash.hpp"
#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

using manifest::Digest;
using test::fails_with;
using test::unwrap;

TEST(GroupCommit, CommitsTogetherWhatWaits) {
  constexpr int threads = 16;
  GroupCommit<int> commits;
  std::atomic<int> running{0};
  std::atomic<int> batches{0};
  std::atomic<int> total{0};
  const auto commit = [&](const std::vector<int*>& changes) {
    EXPECT_EQ(running.fetch_add(1), 0) << "never twice at once";
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (int* change : changes) {
      *change = 1;
    }
    total += static_cast<int>(changes.size());
    ++batches;
    --running;
  };
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      int change = 0;
      commits.run(change, commit);
      EXPECT_EQ(change, 1) << "it returns when it is done";
    });
  }
  std::ranges::for_each(all, [](std::thread& thread) { thread.join(); });
  EXPECT_EQ(total, threads);
  EXPECT_LT(batches, threads / 2);
}

TEST(GroupCommit, ExceptionLeavesNobodyWaiting) {
  GroupCommit<int> commits;
  std::vector<std::thread> all;
  std::atomic<int> thrown{0};
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&] {
      int change = 0;
      try {
        commits.run(change, [](const std::vector<int*>&) {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          throw std::runtime_error("no memory");
        });
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    });
  }
  std::ranges::for_each(all, [](std::thread& thread) { thread.join(); });
  EXPECT_GE(thrown, 1);
  int change = 0;
  commits.run(change, [](const std::vector<int*>& changes) { *changes.front() = 7; });
  EXPECT_EQ(change, 7);
}

TEST(ManifestCache, KeepsWhatWasUsedLast) {
  ManifestCache cache(10 * 1024);
  const auto bytes = std::make_shared<const std::string>(1024, 'x');
  const auto digest = [](int i) { return Digest::of(std::to_string(i)); };
  for (int i = 0; i < 100; ++i) {
    cache.add(digest(i), bytes);
    EXPECT_TRUE(cache.find(digest(0))) << i;
    EXPECT_LE(cache.size(), 10U * 1024);
  }
  EXPECT_TRUE(cache.find(digest(99)));
  EXPECT_FALSE(cache.find(digest(50)));
  cache.add(digest(1000), std::make_shared<const std::string>(20 * 1024, 'x'));
  EXPECT_FALSE(cache.find(digest(1000))) << "it alone would be too much";
  EXPECT_TRUE(cache.find(digest(0)));
}

TEST(RunningHash, CanBeAskedInBetween) {
  for (const char* algorithm : {"sha256", "sha512"}) {
    const auto expected = [&](std::string_view text) {
      return std::string_view(algorithm) == "sha512" ? sha512_of(text) : Digest::of(text);
    };
    RunningHash hash(algorithm);
    EXPECT_EQ(hash.digest(), expected(""));
    hash.update(as_bytes("some "));
    EXPECT_EQ(hash.digest(), expected("some "));
    hash.update(as_bytes("bytes"));
    EXPECT_EQ(hash.digest(), expected("some bytes"));
    EXPECT_EQ(hash.size(), 10U);
  }
}

}  // namespace
}  // namespace fnimage::server
