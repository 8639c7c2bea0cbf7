// Bodies that the kernel moves from a file to the socket: the same bytes, the same failures and the
// same use of connections as bodies that go through libcurl.
#include "file_body.hpp"

#include <array>
#include <filesystem>
#include <latch>
#include <memory>
#include <optional>
#include <string>

#include <sys/socket.h>
#include <unistd.h>

#include <fnimage/registry/transport.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::HasSubstr;

class UniqueFd {
 public:
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { ::close(fd_); }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class LastProgress final : public ProgressTask {
 public:
  void update(std::uint64_t done) noexcept override { last = done; }
  void finish(std::string_view /*outcome*/) noexcept override {}
  std::uint64_t last = 0;
};

class FileBodyTest : public ::testing::Test {
 protected:
  FileBodyTest() : content_(unwrap(file_content(directory_.write("blob", bytes_)))) {}

  [[nodiscard]] HttpRequest put(std::string_view target) {
    return {.method = "PUT",
            .url = server_.url(target),
            .headers = {{"Content-Type", "application/octet-stream"}},
            .body = content_.get(),
            .progress = &progress_};
  }
  Result<HttpResponse> send(const HttpRequest& request) { return client_->perform(request); }

  const std::string bytes_ = random_bytes(5'000'001);
  test::TempDir directory_;
  ContentPtr content_;
  LastProgress progress_;
  ScriptedServer server_{[](const SeenRequest&) { return Reply{.status = 201}; }};
  std::shared_ptr<Transport> client_ =
      unwrap(make_curl_transport({.stall_timeout = std::chrono::seconds(1)}));
};

TEST_F(FileBodyTest, ArrivesWholeOrInPartOnOneConnection) {
  EXPECT_EQ(unwrap(send(put("/whole"))).status, 201);
  EXPECT_EQ(progress_.last, bytes_.size());
  HttpRequest part = put("/part");
  part.body_offset = 3'000'000;
  part.body_limit = 1'000'000;
  EXPECT_EQ(unwrap(send(part)).status, 201);
  EXPECT_EQ(progress_.last, 4'000'000U);
  HttpRequest rest = put("/rest");
  rest.body_offset = 4'000'000;
  EXPECT_EQ(unwrap(send(rest)).status, 201);

  const auto seen = server_.requests();
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_TRUE(seen[0].body == bytes_);
  EXPECT_TRUE(seen[1].body == bytes_.substr(3'000'000, 1'000'000));
  EXPECT_TRUE(seen[2].body == bytes_.substr(4'000'000));
  for (const SeenRequest& request : seen) {
    EXPECT_EQ(request.connection, 0U);
    EXPECT_EQ(request.header("content-type"), "application/octet-stream");
    EXPECT_EQ(request.header("expect"), std::nullopt);
  }
}

TEST_F(FileBodyTest, EarlyAnswerCountsAndItsConnectionIsNotUsedAgain) {
  server_.expect("PUT /early", {.status = 413, .body = "too much", .fault = Reply::Fault::early})
      .expect("PUT /next", {.status = 201});
  EXPECT_EQ(unwrap(send(put("/early"))).status, 413);
  EXPECT_EQ(unwrap(send(put("/next"))).status, 201);
  const auto seen = server_.requests();
  EXPECT_NE(seen.back().connection, seen.front().connection);
  EXPECT_TRUE(seen.back().body == bytes_);
}

TEST_F(FileBodyTest, CutBodyIsAnErrorAndIsNotSentAgainByItself) {
  EXPECT_EQ(unwrap(send(put("/first"))).status, 201);
  server_.cut_bodies([](const SeenRequest&) { return std::optional<std::size_t>(1'000'000); });
  const auto cut = send(put("/cut"));  // on the connection that was kept
  ASSERT_THAT(cut, fails_with(ErrorCode::unavailable));
  EXPECT_TRUE(cut.error().is_retryable());
  EXPECT_EQ(server_.requests().size(), 2U);
}

TEST_F(FileBodyTest, ConnectionThatDiedMeanwhileIsReplaced) {
  server_.expect("PUT /a", {.status = 201, .fault = Reply::Fault::close_after})
      .expect("PUT /b", {.status = 201});
  EXPECT_EQ(unwrap(send(put("/a"))).status, 201);
  const auto next = send(put("/b"));
  // libcurl mostly sees that it is closed; what it sees too late is the sender's to repeat.
  if (next) {
    EXPECT_TRUE(server_.requests().back().body == bytes_);
  } else {
    EXPECT_TRUE(next.error().is_retryable()) << next.error().describe();
  }
}

TEST_F(FileBodyTest, FileThatShrankIsAnErrorBeforeAnythingIsSent) {
  std::filesystem::resize_file(directory_ / "blob", 1000);
  EXPECT_THAT(send(put("/x")), fails_with(ErrorCode::io, HasSubstr("shorter")));
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(FileBodyTest, StallIsNoticedOneLimitAfterTheLastProgress) {
  const auto body = unwrap(FileBody::open(put("/x"), bytes_.size()));
  ASSERT_NE(body, nullptr);
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  const UniqueFd mine(ends[0]);
  const UniqueFd theirs(ends[1]);
  constexpr std::uint32_t speed = 32;
  constexpr std::chrono::seconds limit(30);
  const auto begin = std::chrono::steady_clock::now();
  const auto stalls_after = [&](int seconds) {
    return body->stalls(limit, speed, begin + std::chrono::seconds(seconds));
  };
  EXPECT_FALSE(stalls_after(19));
  ASSERT_EQ(body->send(mine.get()), CURLE_OK);
  ASSERT_GT(body->sent(), speed * 30U);
  EXPECT_FALSE(stalls_after(20));  // enough has gone: the limit counts from here
  EXPECT_FALSE(stalls_after(49));
  EXPECT_TRUE(stalls_after(50));
}

TEST_F(FileBodyTest, PeerThatTakesNothingIsNoticed) {
  // Of the server as well, which may look at it once more when this test is over.
  const auto stopped = std::make_shared<std::latch>(1);
  server_.cut_bodies([stopped](const SeenRequest&) {
    stopped->wait();  // reads nothing while the client waits
    return std::optional<std::size_t>(0);
  });
  const std::string much = random_bytes(40'000'000);  // more than the socket's buffers hold
  content_ = unwrap(file_content(directory_.write("much", much)));
  EXPECT_THAT(send(put("/stall")), fails_with(ErrorCode::unavailable, HasSubstr("stalled")));
  stopped->count_down();
}

}  // namespace
}  // namespace fnimage::registry
