// A process that puts, removes and uploads is killed at a moment of chance, again and again: what
// it had an answer for is there, and nothing is torn.
#include <chrono>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/test/sanitized.hpp>

#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

namespace fs = std::filesystem;
using manifest::Digest;
using test::unwrap;

constexpr int workers = 3;
const std::string crash_repository = "team/action";

std::string mark_of(int round, int thread, int step) {
  return std::to_string(round) + "." + std::to_string(thread) + "." + std::to_string(step);
}

std::string tag_of(int thread) {
  return "t" + std::to_string(thread);
}

/// Said through a pipe, in one piece.
void say(int pipe, const std::string& line) {
  if (::write(pipe, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    ::_exit(3);
  }
}

/// Puts and removes a tag in turns, and uploads a blob each time; says what is done.
void work(Store& store, int pipe, int round, int thread) {
  for (int step = 0;; ++step) {
    const std::string mark = mark_of(round, thread, step);
    const auto upload = store.begin_upload(crash_repository, "me");
    {
      const auto writing = (*upload)->begin();
      if (!(*writing)->write(as_bytes("half of " + mark))) {
        ::_exit(4);
      }
    }
    say(pipe, "open " + (*upload)->id() + " " + std::to_string((*upload)->size()) + "\n");
    const auto writing = (*upload)->begin();
    if (!(*writing)->write(as_bytes(" and the rest")) ||
        !(*writing)->finish(Digest::of("half of " + mark + " and the rest"))) {
      ::_exit(5);
    }
    say(pipe, "blob " + mark + " " + (*upload)->id() + "\n");
    const auto in = store.create(crash_repository);
    if (!(*in)->put_manifest(image(mark, {tag_of(thread)}), {})) {
      ::_exit(6);
    }
    say(pipe, "put " + std::to_string(thread) + " " + std::to_string(step) + "\n");
    if (step % 4 == 3) {
      if (!(*in)->remove_tag(tag_of(thread), {})) {
        ::_exit(7);
      }
      say(pipe, "removed " + std::to_string(thread) + " " + std::to_string(step) + "\n");
    }
  }
}

[[noreturn]] void run_child(const fs::path& path, int pipe, int round) {
  const auto store = Store::open(path);
  if (!store) {
    ::_exit(2);
  }
  std::vector<std::thread> running;
  for (int thread = 0; thread < workers; ++thread) {
    running.emplace_back([&, thread] { work(**store, pipe, round, thread); });
  }
  running.front().join();
  ::_exit(1);
}

struct Said {
  std::size_t count = 0;                       ///< answers
  std::map<int, std::pair<int, bool>> last{};  ///< thread -> its last step, and whether it removed
  std::vector<std::string> blobs{};            ///< marks
  std::map<std::string, std::uint64_t> open{};
};

Said read_said(int pipe) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = ::read(pipe, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(count));
  }
  Said said;
  std::istringstream lines(text);
  for (std::string what; lines >> what; ++said.count) {
    if (what == "open") {
      std::string id;
      std::uint64_t size = 0;
      lines >> id >> size;
      said.open[id] = size;
    } else if (what == "blob") {
      std::string mark;
      std::string id;
      lines >> mark >> id;
      said.blobs.push_back(mark);
      said.open.erase(id);
    } else {
      int thread = 0;
      int step = 0;
      lines >> thread >> step;
      said.last[thread] = {step, what == "removed"};
    }
  }
  return said;
}

/// One run of the child; the end of what it says is when it is dead. @param waits until it has
/// said something before the time begins.
Said run_and_kill(const fs::path& path, int round, bool waits, std::chrono::microseconds after) {
  int pipe[2];
  EXPECT_EQ(::pipe(pipe), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(pipe[0]);
    run_child(path, pipe[1], round);
  }
  ::close(pipe[1]);
  if (pollfd ready{.fd = pipe[0], .events = POLLIN, .revents = 0}; waits) {
    EXPECT_EQ(::poll(&ready, 1, 10'000), 1);
  }
  std::this_thread::sleep_for(after);
  EXPECT_EQ(::kill(pid, SIGKILL), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself with " << WEXITSTATUS(status);
  Said said = read_said(pipe[0]);
  ::close(pipe[0]);
  return said;
}

class StoreCrashTest : public ::testing::Test {
 protected:
  void check(const Said& said, int round) {
    const auto store = unwrap(Store::open(path_));
    const auto in = unwrap(store->create(crash_repository));
    for (const auto& [thread, last] : said.last) {
      check_tag(*in, round, thread, last.first, last.second);
    }
    for (const std::string& mark : said.blobs) {
      EXPECT_TRUE(in->blob_size(Digest::of("half of " + mark + " and the rest"))) << mark;
    }
    for (const auto& [id, size] : said.open) {
      // It may have been finished without anybody hearing of it.
      const auto upload = unwrap(store->find_upload(id, crash_repository, "me"));
      EXPECT_TRUE(!upload || upload->size() >= size);
    }
    check_files();
  }

 private:
  /// The tag stands where the last answer left it, or one step further.
  static void check_tag(Repository& in, int round, int thread, int step, bool is_removed) {
    const auto found = unwrap(in.manifest(tag_of(thread)));
    const auto is_at = [&](int at) {
      return found && found->descriptor.digest == image(mark_of(round, thread, at)).digest;
    };
    const bool may_be_gone = is_removed || step % 4 == 3;
    EXPECT_TRUE((!is_removed && is_at(step)) || is_at(step + 1) || (!found && may_be_gone))
        << tag_of(thread) << " after step " << step << (is_removed ? " (removed)" : "");
    EXPECT_TRUE(unwrap(in.manifest(image(mark_of(round, thread, step)).digest)));
  }

  /// Blobs that were not looked at yet are what their names say, and all entries have a blob.
  void check_files() {
    const fs::path layout = path_ / crash_repository;
    std::size_t others = 0;
    for (const auto& file : fs::directory_iterator(layout / "blobs/sha256")) {
      const std::string hex = file.path().filename().string();
      others += hex.starts_with(".tmp-") ? 1U : 0U;
      if (!hex.starts_with(".") && checked_.insert(hex).second) {
        EXPECT_EQ(Digest::of(unwrap(read_file(file.path(), 1 << 20))).hex(), hex);
      }
    }
    EXPECT_EQ(others, 0U) << "what killed processes left is cleaned up";
    const auto index =
        unwrap(manifest::Index::parse(unwrap(read_file(layout / "index.json", 1 << 24))));
    for (const auto& entry : index.manifests) {
      EXPECT_TRUE(fs::exists(layout / "blobs/sha256" / std::string(entry.digest.hex())));
    }
  }

  TemporaryDirectory scratch_ = make_scratch();
  std::set<std::string> checked_;

  /// In memory where possible: a kill does not ask for a disk, and there is more to be hit.
  static TemporaryDirectory make_scratch() {
    auto fast = TemporaryDirectory::create_in("/dev/shm");
    return fast ? std::move(*fast) : unwrap(TemporaryDirectory::create("fnimage-store"));
  }

 protected:
  /// A new one now and then, so that there is not ever more to read.
  void begin_anew() {
    path_ = scratch_.path() / std::to_string(++stores_);
    checked_.clear();
  }
  fs::path path_;

 private:
  int stores_ = 0;
};

TEST_F(StoreCrashTest, KilledAtAnyMoment) {
  const int rounds = test::sanitized ? 60 : 300;
  constexpr int rounds_of_a_store = 25;
  std::mt19937 random(4711);  // NOLINT: the same moments each time, as far as that goes
  std::size_t answers = 0;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    if (round % rounds_of_a_store == 0) {
      begin_anew();
    }
    const Said said =
        run_and_kill(path_, round, round % 4 != 0, std::chrono::microseconds(random() % 8'000));
    answers += said.count;
    check(said, round);
  }
  EXPECT_GT(answers, 2U * static_cast<std::size_t>(rounds)) << "too little to say anything";
}

}  // namespace
}  // namespace fnimage::server
