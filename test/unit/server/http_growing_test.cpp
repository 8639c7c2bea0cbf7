// Answers that come later, and bodies that somebody else still writes: over TCP and TLS.
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http_fixture.hpp"

namespace fnimage::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// "/late" is answered by whoever takes its responder, "/growing" with a file that grows.
class LateHandler final : public Handler {
 public:
  explicit LateHandler(const std::filesystem::path& directory) : path_(directory / "growing") {
    std::ofstream(path_).flush();
    const auto opened = OpenFile::open(path_);
    growing = std::make_shared<GrowingFile>(*opened);
  }
  [[nodiscard]] bool is_quick(const Request& /*request*/) const override { return true; }
  Answer answer(const Request& request) override {
    if (request.path == "/late") {
      return LateAnswer([this](Responder responder) {
        const std::lock_guard lock(mutex_);
        responders_.push_back(std::move(responder));
        changed_.notify_all();
      });
    }
    if (request.path == "/growing") {
      return Response{.body = GrowingSlice{growing, offset, size}};
    }
    return Response{.body = std::string("at once")};
  }
  void answered(const Request& /*request*/, int /*status*/, std::uint64_t sent) override {
    const std::lock_guard lock(mutex_);
    sent_.push_back(sent);
    changed_.notify_all();
  }

  /// The right to answer what was asked first.
  Responder take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !responders_.empty(); });
    Responder first = std::move(responders_.front());
    responders_.erase(responders_.begin());
    return first;
  }
  std::uint64_t wait_for_answered() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !sent_.empty(); });
    return std::exchange(sent_, {}).front();
  }
  void write(std::string_view bytes) {
    std::ofstream(path_, std::ios::app) << bytes << std::flush;
    written_ += bytes.size();
    growing->grew_to(written_);
  }

  std::shared_ptr<GrowingFile> growing;
  std::uint64_t offset = 0;
  std::uint64_t size = 10;

 private:
  std::filesystem::path path_;
  std::uint64_t written_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Responder> responders_{};
  std::vector<std::uint64_t> sent_{};
};

class HttpGrowingTest : public ::testing::Test {
 protected:
  void SetUp() override { start(); }
  void start(const HttpLimits& limits = {}) {
    stop();
    server = *HttpServer::listen("127.0.0.1", 0, handler, {}, limits);
    thread = std::jthread([this] { server->run(); });
  }
  void TearDown() override { stop(); }
  void stop() {
    if (server) {
      server->stop();
      thread.join();
      server.reset();
    }
  }
  /// Reads until so many bytes of the body are there.
  static void read_until(RawClient& client, std::string& text, std::size_t body_bytes) {
    const auto is_there = [&] {
      const std::size_t head = text.find("\r\n\r\n");
      return head != std::string::npos && text.size() >= head + 4 + body_bytes;
    };
    while (!is_there()) {
      const std::string piece = client.read_some();
      ASSERT_FALSE(piece.empty()) << text;
      text += piece;
    }
  }

  test::TempDir directory;
  LateHandler handler{directory.path()};
  std::unique_ptr<HttpServer> server;
  std::jthread thread;
};

TEST_F(HttpGrowingTest, AnswersLater) {
  RawClient one(server->port());
  one.send(get("/late") + get("/next"));
  const Responder responder = handler.take();
  RawClient other(server->port());
  other.send(get("/other"));
  EXPECT_THAT(other.read_answer(), EndsWith("at once"));
  responder(Response{.body = std::string("later")});
  responder(Response{.body = std::string("too late")});
  EXPECT_THAT(one.read_answer(), EndsWith("\r\n\r\nlater"));
  EXPECT_THAT(one.read_answer(), EndsWith("at once"));
}

TEST_F(HttpGrowingTest, WhoNeverAnswersFails) {
  RawClient one(server->port());
  one.send(get("/late"));
  { const Responder dropped = handler.take(); }
  EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 500 "));
}

TEST_F(HttpGrowingTest, ResponderOutlivesTheServer) {
  RawClient one(server->port());
  one.send(get("/late"));
  const Responder responder = handler.take();
  start({.drain_time = std::chrono::seconds(0)});
  RawClient two(server->port());
  two.send(get("/late"));
  const Responder second = handler.take();
  two.close();
  stop();
  responder(Response{});
  second(Response{});
}

TEST_F(HttpGrowingTest, SendsWhatIsThereAndTheLastByteAtTheEnd) {
  handler.write("01234");
  RawClient one(server->port());
  one.send(get("/growing"));
  std::string text;
  read_until(one, text, 5);
  EXPECT_THAT(text, HasSubstr("Content-Length: 10\r\n"));
  handler.write("56789");
  read_until(one, text, 9);
  EXPECT_THAT(text, EndsWith("\r\n\r\n012345678"));
  handler.growing->end(true);
  read_until(one, text, 10);
  EXPECT_THAT(text, EndsWith("\r\n\r\n0123456789"));
  one.send(get("/next"));
  EXPECT_THAT(one.read_answer(), EndsWith("at once"));
}

TEST_F(HttpGrowingTest, PartsEndWithTheWhole) {
  handler.offset = 2;
  handler.size = 4;
  RawClient one(server->port());
  one.send(get("/growing"));
  handler.write("0");
  handler.write("123456789");
  std::string text;
  read_until(one, text, 3);
  EXPECT_THAT(text, EndsWith("\r\n\r\n234"));
  handler.growing->end(true);
  read_until(one, text, 4);
  EXPECT_THAT(text, EndsWith("\r\n\r\n2345"));
}

TEST_F(HttpGrowingTest, BrokenOnesAreCut) {
  RawClient waiting(server->port());
  waiting.send(get("/growing"));
  std::string text;
  handler.write("0123456789");
  read_until(waiting, text, 9);
  handler.growing->end(false);
  EXPECT_EQ("", waiting.read_to_end());
  RawClient late(server->port());
  late.send(get("/growing"));
  EXPECT_THAT(late.read_to_end(), EndsWith("\r\n\r\n012345678"));
}

TEST_F(HttpGrowingTest, TooShortOnesAreCut) {
  handler.write("012");
  handler.growing->end(true);
  RawClient one(server->port());
  one.send(get("/growing"));
  EXPECT_THAT(one.read_to_end(), EndsWith("\r\n\r\n012"));
}

TEST_F(HttpGrowingTest, WaitingIsNotTheClientsFault) {
  start({.stall_time = std::chrono::seconds(0)});
  RawClient one(server->port());
  one.send(get("/growing"));
  std::string text;
  read_until(one, text, 0);
  // Far more than a look at the clock: what had to be fast would be cut now.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  handler.write("0123456789");
  handler.growing->end(true);
  read_until(one, text, 10);
  EXPECT_THAT(text, EndsWith("0123456789"));
}

TEST_F(HttpGrowingTest, HeadsWaitForNothing) {
  RawClient one(server->port());
  one.send("HEAD /growing HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(one.read_answer(false), HasSubstr("Content-Length: 10\r\n"));
}

TEST_F(HttpGrowingTest, WhoWaitsIsLeftWhenTheServerEnds) {
  start({.drain_time = std::chrono::seconds(0)});
  RawClient one(server->port());
  one.send(get("/growing"));
  std::string text;
  read_until(one, text, 0);
  stop();
  EXPECT_EQ("", one.read_to_end());
  EXPECT_EQ(0U, handler.wait_for_answered());
  handler.write("0");  // nobody is woken
}

TEST_F(HttpGrowingTest, ManyReadersOfALargeOne) {
  constexpr std::size_t readers = 20;
  const std::string block(100'000, 'x');
  handler.size = 50 * block.size();
  std::vector<std::jthread> threads;
  std::atomic<std::size_t> whole = 0;
  for (std::size_t i = 0; i < readers; ++i) {
    threads.emplace_back([&] {
      RawClient one(server->port());
      one.send(get("/growing", "Connection: close\r\n"));
      const std::string text = one.read_to_end();
      whole += text.size() - text.find("\r\n\r\n") - 4 == handler.size ? 1 : 0;
    });
  }
  for (int i = 0; i < 50; ++i) {
    handler.write(block);
  }
  handler.growing->end(true);
  threads.clear();
  EXPECT_EQ(readers, whole);
}

}  // namespace
}  // namespace fnimage::server
