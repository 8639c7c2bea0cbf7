// A push that is killed or interrupted in the middle of a large blob: the next one goes on where it
// stopped, and nothing is left behind that nobody needs.
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "program.hpp"

namespace fnimage::test {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t model_size = 8'000'000;
constexpr std::size_t halfway = 4'000'000;

/// Something that one thread waits for and another lets happen.
class Event {
 public:
  void happen() {
    const std::lock_guard lock(mutex_);
    happened_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return happened_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool happened_ = false;
};

class InterruptedPush : public ::testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 engine(1);
    std::string model(model_size, '\0');
    for (char& byte : model) {
      byte = static_cast<char>(engine());
    }
    program_.directory().write("project/model.bin", model);
    program_.directory().write("project/handler.py", "def main(args):\n    return {}\n");
    program_.directory().write(
        "project/fnimage.yaml",
        "name: probe\nplatforms: [linux/ppc64le, linux/amd64]\nbase: {scratch: true}\n"
        "layers: [{name: model, from: model.bin, to: /model.bin}]\nsource: {main: handler.py}\n");
    const Outcome built = program_.run({"build", "project", "-t", reference()});
    ASSERT_EQ(built.exit_code, 0) << built.err;
  }
  [[nodiscard]] std::string reference() { return registry_.address() + "/probe:latest"; }
  [[nodiscard]] std::vector<std::string> push() { return {"push", "--plain-http", reference()}; }

  /// Runs a push up to the middle of the model, sends it a signal and returns its exit code.
  int interrupt(int signal) {
    const auto reached = std::make_shared<Event>();
    const auto released = std::make_shared<Event>();  // the server's thread may have them last
    registry_.on_cut([reached, released] {
      reached->happen();
      released->wait();
    });
    registry_.cut_next({halfway});
    const pid_t child = program_.start(push());
    reached->wait();
    ::kill(child, signal);
    const int code = Program::finish(child);
    registry_.on_cut({});
    released->happen();
    return code;
  }

  MemoryRegistry registry_;
  Program program_;
};

TEST_F(InterruptedPush, KilledOneIsFinishedByTheNext) {
  EXPECT_EQ(interrupt(SIGKILL), 128 + SIGKILL);
  EXPECT_EQ(registry_.tag("probe", "latest"), "");
  const Outcome again = program_.run(push());
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(registry_.tag("probe", "latest"), "");
  // The small blobs of the first run may be sent again; of the model nothing is.
  EXPECT_LT(registry_.received(), model_size + 100'000);
  EXPECT_EQ(registry_.count("PATCH"), 1U);
}

TEST_F(InterruptedPush, AskedToStopItSaysSoAndLeavesNoUploads) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(interrupt(signal), 128 + signal);
    EXPECT_EQ(registry_.tag("probe", "latest"), "");
    EXPECT_EQ(registry_.open_uploads(), 1U) << "the model's, which is noted and gone on with";
  }
  const Outcome again = program_.run(push());
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_LT(registry_.received(), model_size + 100'000);
}

TEST_F(InterruptedPush, WithoutAJournalTheUploadIsCancelled) {
  program_.set("XDG_STATE_HOME", "/dev/null");
  EXPECT_EQ(interrupt(SIGTERM), 128 + SIGTERM);
  EXPECT_EQ(registry_.open_uploads(), 0U);
}

TEST_F(InterruptedPush, LimitedRateArrivesToo) {
  const Outcome outcome = program_.run(
      {"push", "--plain-http", "--limit-rate", "100M", "--connections", "2", reference()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(registry_.tag("probe", "latest"), "");
}

}  // namespace
}  // namespace fnimage::test
