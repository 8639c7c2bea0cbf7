// Garbage is collected while others push, and by processes that are killed at a moment of chance:
// what was acknowledged is whole, and who was told that a blob is there finds it.
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/test/sanitized.hpp>

#include "gc_fixture.hpp"
#include "store/garbage_files.hpp"

namespace fnimage::server {
namespace {

namespace fs = std::filesystem;
using manifest::Digest;
using test::unwrap;

const std::string raced = "team/action";

manifest::Descriptor part_of(std::string_view bytes, std::string_view type = "x") {
  return {.media_type = std::string(type), .digest = Digest::of(bytes), .size = bytes.size()};
}

/// In memory where possible: there is more to be hit.
TemporaryDirectory fast_scratch() {
  auto fast = TemporaryDirectory::create_in("/dev/shm");
  return fast ? std::move(*fast) : unwrap(TemporaryDirectory::create("fnimage-store"));
}

class GcRaceTest : public ::testing::Test {
 protected:
  /// A blob that is old from its first moment on, unless there is one.
  void plant(const std::string& bytes) const {
    static std::atomic<int> count{0};
    const auto digest = Digest::of(bytes);
    const fs::path blobs = root() / raced / "blobs/sha256";
    const fs::path file = blobs / ("planted-" + std::to_string(++count));
    std::ofstream(file) << bytes;
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(2));
    std::error_code taken;
    fs::create_hard_link(file, blobs / std::string(digest.hex()), taken);
    fs::remove(file);
  }
  static void make_old(const fs::path& file) {
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(2));
  }
  static void upload(Store& store, const std::string& bytes) {
    const auto upload = unwrap(store.begin_upload(raced, "me"));
    const auto writing = unwrap(upload->begin());
    unwrap(writing->write(as_bytes(bytes)));
    unwrap(writing->finish(Digest::of(bytes)));
  }
  [[nodiscard]] fs::path root() const { return scratch_.path() / "store"; }
  [[nodiscard]] fs::path file(const Digest& digest) const {
    return root() / raced / "blobs/sha256" / std::string(digest.hex());
  }
  [[nodiscard]] std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(root() / raced / "blobs/sha256")) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

 private:
  TemporaryDirectory scratch_ = fast_scratch();
};

class GcPushTest : public GcRaceTest {
 protected:
  static constexpr int pushers = 3;

  /// As a client does that asks first what it need not push.
  void push_image(const std::string& mark, bool takes_time) {
    plant(mark);
    plant("garbage of " + mark);
    const bool is_told = repository_->blob_size(Digest::of(mark)).has_value();
    told_ += is_told ? 1 : 0;
    if (!is_told) {
      upload(*store_, mark);
    } else if (takes_time) {  // so much that everything is gone through twice
      for (const int begin = collections_; collections_ < begin + 4;) {
        collections_.wait(collections_);
      }
    }
    auto put = image(mark, {"of-" + mark});
    put.blobs = {part_of(mark)};
    EXPECT_EQ(unwrap(repository_->put_manifest(put, {})), Outcome::done) << is_told;
    EXPECT_TRUE(fs::exists(file(Digest::of(mark))));
  }

  /// Of a child that nothing has named for long: it may go before the list comes, but not after.
  void push_list(const std::string& mark) {
    const auto forgotten = image("forgotten " + mark);
    EXPECT_EQ(unwrap(repository_->put_manifest(forgotten, {})), Outcome::done);
    make_old(file(forgotten.digest));
    upload(*store_, mark);
    auto child = image(mark);
    child.blobs = {part_of(mark)};
    EXPECT_EQ(unwrap(repository_->put_manifest(child, {})), Outcome::done);
    make_old(file(child.digest));
    make_old(file(Digest::of(mark)));
    auto put = list({{child.digest, child.media_type}}, {"list-of-" + mark});
    put.children = {part_of(child.bytes, child.media_type)};
    if (unwrap(repository_->put_manifest(put, {})) == Outcome::done) {
      ++lists_;
      EXPECT_TRUE(unwrap(repository_->manifest(child.digest)));
      EXPECT_TRUE(fs::exists(file(Digest::of(mark))));
    }
  }

  void collect_until(const std::stop_token& stop, bool removes_untagged) {
    while (!stop.stop_requested()) {
      EXPECT_EQ(unwrap(collect_garbage(root(), {.removes_untagged = removes_untagged})).skipped,
                0U);
      ++collections_;
      collections_.notify_all();
    }
  }

  std::unique_ptr<Store> store_ = unwrap(Store::open(root()));
  std::shared_ptr<Repository> repository_ = unwrap(store_->create(raced));
  std::atomic<int> told_{0};
  std::atomic<int> lists_{0};
  std::atomic<int> collections_{0};
};

TEST_F(GcPushTest, WhatIsAcknowledgedIsWhole) {
  constexpr int steps = test::sanitized ? 20 : 50;
  {
    std::vector<std::jthread> collectors;
    for (const bool removes_untagged : {false, true}) {
      collectors.emplace_back([this, removes_untagged](const std::stop_token& stop) {
        collect_until(stop, removes_untagged);
      });
    }
    std::vector<std::jthread> running;
    for (int thread = 0; thread < pushers; ++thread) {
      running.emplace_back([this, thread] {
        for (int step = 0; step < steps; ++step) {
          push_image(std::to_string(step), step % 6 == 0);  // the same as the others
          push_list(std::to_string(thread) + "." + std::to_string(step));
        }
      });
    }
    running.clear();  // waits for the pushers, then for the collectors
  }
  unwrap(collect_garbage(root(), {.removes_untagged = true}));
  EXPECT_EQ(unwrap(repository_->tags())->size(), static_cast<std::size_t>(steps + lists_));
  EXPECT_GT(told_, 0);
  EXPECT_GT(lists_, 0);
  const auto left = files();
  for (int step = 0; step < steps; ++step) {
    const std::string mark = std::to_string(step);
    EXPECT_TRUE(left.contains(std::string(Digest::of(mark).hex())));
    EXPECT_FALSE(left.contains(std::string(Digest::of("garbage of " + mark).hex())));
    const auto standing = unwrap(repository_->manifest("of-" + mark));
    EXPECT_TRUE(standing && standing->descriptor.digest == image(mark).digest);
  }
}

/// Who is told of a file in the very moment when it loses its name still has it.
TEST_F(GcRaceTest, WhatSomebodyWasToldOfStays) {
  const fs::path directory = root();
  fs::create_directories(directory);
  const auto oldest = std::chrono::system_clock::now() - std::chrono::hours(1);
  const auto files = unwrap(GarbageFiles::open(directory, oldest));
  std::atomic<int> arrived{0};
  const auto meet = [&arrived](std::size_t turn) {  // as closely as can be
    ++arrived;
    for (int spins = 0; arrived < 2 * (static_cast<int>(turn) + 1); ++spins) {
      if (spins > 2'000) {
        std::this_thread::yield();
      }
    }
  };
  const int turns = test::sanitized ? 1'000 : 6'000;
  int kept = 0;
  std::vector<char> told(static_cast<std::size_t>(turns));
  std::vector<char> gone(static_cast<std::size_t>(turns));
  const auto name = [](std::size_t turn) { return std::to_string(turn); };
  for (std::size_t turn = 0; turn < told.size(); ++turn) {
    std::ofstream(directory / name(turn)) << "bytes";
    make_old(directory / name(turn));
  }
  {
    const std::jthread asking([&] {
      for (std::size_t turn = 0; turn < told.size(); ++turn) {
        meet(turn);
        told[turn] = registry::claim_blob(directory / name(turn)) ? 1 : 0;
      }
    });
    for (std::size_t turn = 0; turn < gone.size(); ++turn) {
      meet(turn);
      gone[turn] = unwrap(files->set_aside(name(turn))) ? 1 : 0;
    }
  }
  for (std::size_t turn = 0; turn < told.size(); ++turn) {
    EXPECT_EQ(gone[turn] == 0, fs::exists(directory / name(turn)));
    EXPECT_TRUE(gone[turn] == 0 || told[turn] == 0) << turn;
    kept += told[turn];
  }
  EXPECT_GT(kept, 0);
}

class GcCrashTest : public GcRaceTest {
 protected:
  /// What one round adds: an image that is needed, one that is not, and blobs.
  void add(int round) {
    const auto store = unwrap(Store::open(root()));
    const auto in = unwrap(store->create(raced));
    const std::string mark = std::to_string(round);
    const auto child = image("child of " + mark);
    const auto kept = list({{child.digest, child.media_type}}, {"v" + mark});
    const auto untagged = image("untagged " + mark);
    for (const auto* manifest : {&child, &kept, &untagged}) {
      EXPECT_EQ(unwrap(in->put_manifest(*manifest, {})), Outcome::done);
    }
    kept_.insert({std::string(child.digest.hex()), std::string(kept.digest.hex())});
    for (const std::string& bytes : {"child of " + mark, "untagged " + mark}) {
      upload(*store, bytes);
    }
    kept_.insert(std::string(Digest::of("child of " + mark).hex()));
    for (int number = 0; number < 50; ++number) {
      plant(mark + " garbage " + std::to_string(number));
    }
    for (const std::string& name : files()) {
      make_old(root() / raced / "blobs/sha256" / name);
    }
  }

  void collect_and_be_killed(std::chrono::microseconds after) const {
    std::array<int, 2> ready{};
    EXPECT_EQ(::pipe(ready.data()), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(ready[0]);
      (void)!::write(ready[1], "r", 1);
      for (int turn = 0; turn < 2; ++turn) {
        if (!collect_garbage(root(), {.removes_untagged = true})) {
          ::_exit(1);
        }
      }
      ::pause();
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    std::this_thread::sleep_for(after);
    EXPECT_EQ(::kill(pid, SIGKILL), 0);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself with " << WEXITSTATUS(status);
  }

  /// All that is tagged is whole, and all entries have their manifests.
  void check() const {
    const auto present = files();
    for (const std::string& name : kept_) {
      EXPECT_TRUE(present.contains(name));
    }
    const auto index =
        unwrap(manifest::Index::parse(unwrap(read_file(root() / raced / "index.json", 1 << 24))));
    for (const auto& entry : index.manifests) {
      EXPECT_TRUE(present.contains(std::string(entry.digest.hex())));
    }
  }
  std::set<std::string> kept_;
};

TEST_F(GcCrashTest, KilledAtAnyMoment) {
  const int rounds = test::sanitized ? 15 : 40;
  std::mt19937 random(4711);  // NOLINT: the same moments each time, as far as that goes
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    add(round);
    collect_and_be_killed(std::chrono::microseconds(random() % 10'000));
    check();
  }
  for (const std::string& name : files()) {
    make_old(root() / raced / "blobs/sha256" / name);
  }
  const auto last = unwrap(collect_garbage(root(), {.removes_untagged = true}));
  EXPECT_EQ(last.skipped, 0U);
  check();
  EXPECT_EQ(files(), kept_);
}

}  // namespace
}  // namespace fnimage::server
