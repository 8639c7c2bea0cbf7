// Stopped while the request that opens an upload is under way: its session has no name yet. The
// answer is waited for, within bounds, and the session is ended (C18, F36).
#include <filesystem>
#include <future>
#include <thread>

#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::Reply;
using test::SeenRequest;
using ::testing::Contains;
using ::testing::Not;
using ::testing::StartsWith;

/// Stops its client in the middle of a POST, and answers it when the client has seen that.
class StoppingServer {
 public:
  explicit StoppingServer(Reply opened) : opened_(std::move(opened)) {}

  /// @param size of the blob. Returns how putting it ended.
  Result<BlobOutcome> put(std::size_t size, const std::filesystem::path& journal = {}) {
    TestClient client({.plain_http = true, .upload_journal = journal}, {}, stop_.get_token());
    const auto store = client.repository(server_.address() + "/a");
    // The stop is seen when this ends.
    std::jthread other([this, &client] {
      const auto beside = client.repository(server_.address() + "/beside");
      EXPECT_THAT(beside->tags(), fails_with(ErrorCode::cancelled));
      stop_seen_.set_value();
    });
    const std::string bytes = random_bytes(size);
    return store->put_blob(blob_of(bytes), *memory_content(bytes), {.probably_new = size < 1000});
  }

  [[nodiscard]] std::vector<std::string> lines() const { return server_.lines(); }

 private:
  Reply answer(const SeenRequest& request) {
    if (request.target.starts_with("/v2/beside/")) {
      beside_asked_.set_value();
      return {.fault = Reply::Fault::stall_head};
    }
    if (request.method == "POST") {
      beside_asked_.get_future().wait();
      stop_.request_stop();
      stop_seen_.get_future().wait();
      return opened_;
    }
    return {.status = request.method == "DELETE" ? 204 : 404};
  }

  Reply opened_;
  std::stop_source stop_;
  std::promise<void> beside_asked_;
  std::promise<void> stop_seen_;
  test::ScriptedServer server_{[this](const SeenRequest& request) { return answer(request); }};
};

Reply session_opened() {
  return {.status = 202, .headers = {{"Location", "/up/1"}}};
}

TEST(UploadStop, SessionThatIsJustBeingOpenedIsEnded) {
  for (const std::size_t size : {std::size_t{100}, std::size_t{100'000}}) {
    StoppingServer server(session_opened());
    EXPECT_THAT(server.put(size), fails_with(ErrorCode::cancelled));
    EXPECT_EQ(server.lines().back(), "DELETE /up/1") << size;
    EXPECT_THAT(server.lines(), Not(Contains(StartsWith("PUT"))));
  }
}

TEST(UploadStop, WhatHoldsNothingIsNotNotedForTheNextRun) {
  const test::TempDir temp;
  StoppingServer server(session_opened());
  EXPECT_THAT(server.put(2'000'000, temp / "uploads"), fails_with(ErrorCode::cancelled));
  EXPECT_EQ(server.lines().back(), "DELETE /up/1");
  EXPECT_TRUE(std::filesystem::is_empty(temp / "uploads"));
}

TEST(UploadStop, AnswerThatDoesNotComeIsNotWaitedFor) {
  Reply never = session_opened();
  never.fault = Reply::Fault::stall_head;
  StoppingServer server(never);
  // Far earlier than the stall would be found, which is another error.
  EXPECT_THAT(server.put(100'000), fails_with(ErrorCode::cancelled));
  EXPECT_THAT(server.lines(), Not(Contains(StartsWith("DELETE"))));
}

TEST(UploadStop, NothingIsAskedAgainAfterIt) {
  StoppingServer server({.status = 503});
  EXPECT_THAT(server.put(100'000), Not(test::is_ok()));
  EXPECT_THAT(server.lines(), Contains(StartsWith("POST")).Times(1));
  EXPECT_THAT(server.lines(), Not(Contains(StartsWith("PUT"))));
}

}  // namespace
}  // namespace fnimage::registry
