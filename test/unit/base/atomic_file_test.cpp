// Crash-safe files (F25-F28): old, new or nothing; never a part, never litter.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/file_lock.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(AtomicFile, CommitReplacesAndLeavesNothingElse) {
  const test::TempDir dir;
  dir.write("f", "old");
  AtomicFile file = unwrap(AtomicFile::create(dir.path()));
  unwrap(file.write(as_bytes("ne")));
  unwrap(file.write(as_bytes("w")));
  EXPECT_EQ(dir.read("f"), "old");
  EXPECT_EQ(file.temporary_path().filename().string().rfind(".tmp-", 0), 0U);
  unwrap(file.commit(dir / "f"));
  EXPECT_EQ(dir.read("f"), "new");
  EXPECT_THAT(dir.list(), ElementsAre("f"));
  EXPECT_THAT(file.write(as_bytes("x")), fails_with(ErrorCode::internal));
  EXPECT_THAT(file.commit(dir / "f"), fails_with(ErrorCode::internal));
}

TEST(AtomicFile, DestroyedWithoutCommitLeavesNothing) {
  const test::TempDir dir;
  {
    AtomicFile file = unwrap(AtomicFile::create(dir / "made/on/the/way"));
    unwrap(file.write(as_bytes("x")));
    AtomicFile moved = std::move(file);
    EXPECT_TRUE(std::filesystem::exists(moved.temporary_path()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir / "made/on/the/way"));
}

TEST(AtomicFile, FailedCommitKeepsTheOldFileAndRemovesTheNew) {
  const test::TempDir dir;
  std::filesystem::create_directories(dir / "target/child");
  AtomicFile file = unwrap(AtomicFile::create(dir.path()));
  EXPECT_FALSE(file.commit(dir / "target"));  // a directory cannot be replaced
  EXPECT_THAT(dir.list(), ElementsAre("target"));
}

TEST(AtomicFile, NamesTheDirectoryThatCannotBeWritten) {
  const test::TempDir dir;
  dir.write("file", "");
  EXPECT_THAT(AtomicFile::create(dir / "file/below"),
              fails_with(ErrorCode::not_found, HasSubstr("file/below")));
}

/// Exit codes of the child process that meets a full disk.
enum Outcome : int { clean = 0, wrong_error = 1, litter = 2, cannot_mount = 77 };

/// Fills a file system of 64 KiB that only this process sees.
Outcome fill_tiny_disk(const std::filesystem::path& mount_point) {
  const int namespaces = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
  if (::unshare(namespaces) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=64k") != 0) {
    return cannot_mount;
  }
  const Result<void> result =
      write_file_atomically(mount_point / "big", std::string(1'000'000, 'x'), false);
  if (result || result.error().code() != ErrorCode::no_space ||
      result.error().hint().find(mount_point.string()) == std::string::npos) {
    return wrong_error;
  }
  return std::filesystem::is_empty(mount_point) ? clean : litter;
}

TEST(AtomicFile, FullDiskIsNamedAndLeavesNothing) {
  const test::TempDir dir;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::_exit(fill_tiny_disk(dir.path()));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == cannot_mount) {
    GTEST_SKIP() << "this machine does not allow a private mount";
  }
  EXPECT_EQ(WEXITSTATUS(status), clean);
}

TEST(AtomicFile, FileSizeLimitRemovesTheTemporary) {
  const test::TempDir dir;
  // In a child process: the limit and the ignored signal must not leak into other tests.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const bool refused =
        !write_file_atomically(dir / "big", std::string(100'000, 'x'), false).has_value();
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(dir.list(), IsEmpty());
}

TEST(StaleTemporaries, OnlyThoseOfTheDeadAreRemoved) {
  const test::TempDir dir;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  const std::string dead = ".tmp-" + std::to_string(child) + "-00";
  dir.write(dead, "x");
  dir.write(dead + "directory/below/file", "x");
  dir.write(".tmp-not-a-pid", "x");
  dir.write("kept", "x");
  const AtomicFile live = unwrap(AtomicFile::create(dir.path()));
  const TemporaryDirectory directory = unwrap(TemporaryDirectory::create_in(dir.path()));
  remove_stale_temporaries(dir.path());
  EXPECT_THAT(dir.list(), SizeIs(4));
  EXPECT_FALSE(std::filesystem::exists(dir / dead));
  EXPECT_TRUE(std::filesystem::exists(live.temporary_path()));
  EXPECT_TRUE(std::filesystem::exists(directory.path()));
  remove_stale_temporaries(dir / "missing");
}

TEST(AtomicFile, ConcurrentWritersLeaveOneWholeFile) {
  const test::TempDir dir;
  std::vector<std::jthread> writers;
  for (char c = 'a'; c < 'e'; ++c) {
    writers.emplace_back([&dir, c] {
      for (int i = 0; i < 25; ++i) {
        (void)write_file_atomically(dir / "f", std::string(10'000, c), false);
      }
    });
  }
  writers.clear();
  const std::string text = dir.read("f");
  EXPECT_EQ(text, std::string(10'000, text.at(0)));
  EXPECT_THAT(dir.list(), ElementsAre("f"));
}

TEST(TemporaryDirectory, GoesWithReadOnlyContent) {
  std::filesystem::path path;
  {
    const TemporaryDirectory dir = unwrap(TemporaryDirectory::create("fnimage-test"));
    path = dir.path();
    std::filesystem::create_directories(path / "a/b");
    unwrap(write_file_atomically(path / "a/b/f", "x", false));
    std::filesystem::permissions(path / "a/b", std::filesystem::perms::none);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(FileLock, ExcludesOtherHolders) {
  const test::TempDir dir;
  std::atomic<int> inside = 0;
  std::atomic<bool> overlapped = false;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const Result<FileLock> lock = FileLock::acquire(dir / "lock");
        overlapped = overlapped || !lock || inside.fetch_add(1) != 0;
        inside.fetch_sub(1);
      }
    });
  }
  threads.clear();
  EXPECT_FALSE(overlapped);
}

TEST(FileLock, FailsWithoutItsDirectory) {
  const test::TempDir dir;
  EXPECT_THAT(FileLock::acquire(dir / "no/lock"), fails_with(ErrorCode::not_found));
}

TEST(SyncDirectory, WorksAndFails) {
  const test::TempDir dir;
  EXPECT_THAT(sync_directory(dir.path()), is_ok());
  EXPECT_THAT(sync_directory(dir / "none"), fails_with(ErrorCode::not_found));
}

}  // namespace
}  // namespace fnimage
