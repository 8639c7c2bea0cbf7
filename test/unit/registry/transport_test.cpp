// The libcurl transport against a scripted server: what is sent, what is kept, and every way a
// transfer can fail.
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>
#include <fnimage/registry/transport.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "url.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::unique_ptr<Transport> transport(TransportOptions options = {}) {
  return unwrap(make_curl_transport(options));
}

/// Content that counts how often it is opened and can be made shorter than it says.
class CountingContent final : public Content {
 public:
  explicit CountingContent(std::string bytes, std::size_t missing = 0)
      : bytes_(std::move(bytes)), missing_(missing) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    ++opened;
    return memory_reader(bytes_.substr(offset, bytes_.size() - offset - missing_));
  }
  mutable std::atomic<int> opened = 0;

 private:
  std::string bytes_;
  std::size_t missing_;
};

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>((i * 2654435761U) >> 13U);
  }
  return bytes;
}

TEST(Transport, SendsWhatIsAskedAndReturnsStatusHeadersAndBody) {
  ScriptedServer server;
  server.expect("GET /a?b=c",
                {.status = 404, .headers = {{"X-Test", "one"}}, .body = "nothing here"});
  HttpRequest request{.url = server.url("/a?b=c"), .headers = {{"Accept", "text/x"}}};
  const HttpResponse response = unwrap(transport()->perform(request));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.header("x-test"), "one");
  EXPECT_EQ(response.body, "nothing here");
  EXPECT_THAT(server.problems(), IsEmpty());
  const SeenRequest seen = server.requests().at(0);
  EXPECT_EQ(seen.header("accept"), "text/x");
  EXPECT_THAT(seen.header("user-agent").value_or(""), ::testing::StartsWith("fnimage/"));
  EXPECT_EQ(seen.header("accept-encoding"), std::nullopt);
  EXPECT_EQ(seen.header("authorization"), std::nullopt);
}

TEST(Transport, UploadsLargeBodiesWithoutExpectAndFromAnOffset) {
  ScriptedServer server([](const SeenRequest&) { return Reply{.status = 201}; });
  const std::string bytes = pattern(5'000'001);
  const CountingContent content(bytes);
  const auto client = transport();
  HttpRequest request{.method = "PUT", .url = server.url("/x"), .body = &content};
  EXPECT_EQ(unwrap(client->perform(request)).status, 201);
  request.body_offset = 3'000'000;
  EXPECT_EQ(unwrap(client->perform(request)).status, 201);
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_TRUE(server.requests()[0].body == bytes);
  EXPECT_EQ(server.requests()[0].header("expect"), std::nullopt);
  EXPECT_TRUE(server.requests()[1].body == bytes.substr(3'000'000));
}

TEST(Transport, PostWithoutBodySaysLengthZero) {
  ScriptedServer server;
  server.expect("POST /u/", {.status = 202});
  HttpRequest request{.method = "POST", .url = server.url("/u/")};
  EXPECT_EQ(unwrap(transport()->perform(request)).status, 202);
  EXPECT_EQ(server.requests().at(0).header("content-length"), "0");
  EXPECT_EQ(server.requests().at(0).header("content-type"), std::nullopt);
}

TEST(Transport, SmallBodiesGoAsTheyAreWithTheHeadersThatAreGiven) {
  ScriptedServer server([](const SeenRequest&) { return Reply{.status = 201}; });
  const std::string bytes = pattern(65'536);
  for (const std::uint64_t rate : {0U, 100'000'000U}) {
    const auto client = transport({.rate_limit = rate});
    for (const std::string method : {"PUT", "POST", "PATCH"}) {
      for (const std::uint64_t offset : {0U, 1U, 65'535U, 65'536U}) {
        for (const std::string type : {"", "application/octet-stream"}) {
          SCOPED_TRACE(method + " " + std::to_string(offset) + " " + type);
          const CountingContent content(bytes);
          HttpRequest request{
              .method = method, .url = server.url("/x"), .body = &content, .body_offset = offset};
          if (!type.empty()) {
            request.headers.push_back({"content-type", type});
          }
          EXPECT_EQ(unwrap(client->perform(request)).status, 201);
          const SeenRequest seen = server.requests().back();
          EXPECT_EQ(seen.method, method);
          EXPECT_TRUE(seen.body == bytes.substr(offset));
          EXPECT_EQ(seen.header("content-length"), std::to_string(bytes.size() - offset));
          EXPECT_EQ(seen.header("content-type"), type.empty() ? std::nullopt : std::optional(type));
          EXPECT_EQ(seen.header("expect"), std::nullopt);
          EXPECT_EQ(seen.header("transfer-encoding"), std::nullopt);
        }
      }
    }
  }
}

TEST(Transport, PartOfABodyThatIsSmallGoesAlone) {
  ScriptedServer server([](const SeenRequest&) { return Reply{.status = 202}; });
  const std::string bytes = pattern(2'000'000);
  const CountingContent content(bytes);
  HttpRequest request{.method = "PATCH",
                      .url = server.url("/x"),
                      .body = &content,
                      .body_offset = 1'000'000,
                      .body_limit = 1000};
  EXPECT_EQ(unwrap(transport()->perform(request)).status, 202);
  EXPECT_TRUE(server.requests().at(0).body == bytes.substr(1'000'000, 1000));
}

/// Knows in how many segments a request came, which hangs on nobody's speed.
class CountingPeer {
 public:
  CountingPeer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, generic, size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  CountingPeer(const CountingPeer&) = delete;
  CountingPeer& operator=(const CountingPeer&) = delete;
  ~CountingPeer() { ::close(listener_); }

  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/x";
  }
  /// Answers one request whose body ends so.
  unsigned segments_until(const std::string& end) const {
    const int connection = ::accept(listener_, nullptr, nullptr);
    std::string request;
    std::vector<char> buffer(1 << 20);
    while (!request.ends_with(end)) {
      const ssize_t count = ::recv(connection, buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        ADD_FAILURE() << "the request ended early";
        break;
      }
      request.append(buffer.data(), static_cast<std::size_t>(count));
    }
    tcp_info info{};
    socklen_t size = sizeof(info);
    EXPECT_EQ(::getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    constexpr std::string_view answer = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    EXPECT_EQ(::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(answer.size()));
    ::close(connection);
    return info.tcpi_data_segs_in;
  }

 private:
  int listener_;
  int port_ = 0;
};

TEST(Transport, SmallBodyComesInOnePieceWithItsHead) {
  for (const std::uint64_t rate : {0U, 100'000'000U}) {
    const CountingPeer peer;
    const auto client = transport({.rate_limit = rate});
    const std::string bytes = pattern(3000) + "the end";
    std::jthread sender([&] {
      const CountingContent content(bytes);
      HttpRequest request{.method = "PUT", .url = peer.url(), .body = &content};
      EXPECT_EQ(unwrap(client->perform(request)).status, 201);
    });
    EXPECT_LE(peer.segments_until("the end"), 1U) << rate;  // 0: this kernel does not count
  }
}

TEST(Transport, SmallBodyThatWentIsToldAlsoWhenItFailed) {
  class ToldProgress final : public ProgressTask {
   public:
    void update(std::uint64_t done) noexcept override { last = done; }
    void finish(std::string_view /*outcome*/) noexcept override {}
    std::uint64_t last = 0;
  };
  const CountingContent content(pattern(1000));
  ToldProgress progress;
  ScriptedServer server;
  server.expect("PUT /x", {.status = 201})
      .expect("PUT /x", {.status = 503})
      .expect("PUT /x", {.fault = Reply::Fault::reset});
  for (int i = 0; i < 3; ++i) {
    const auto client = transport();  // and a fresh connection
    HttpRequest request{
        .method = "PUT", .url = server.url("/x"), .body = &content, .progress = &progress};
    EXPECT_EQ(client->perform(request).has_value(), i < 2);
    EXPECT_EQ(std::exchange(progress.last, 0), 1000U) << i;
  }
  std::string gone;
  {
    const ScriptedServer closed;
    gone = closed.url("/x");
  }
  HttpRequest request{.method = "PUT", .url = gone, .body = &content, .progress = &progress};
  EXPECT_FALSE(transport()->perform(request));
  EXPECT_EQ(progress.last, 0U) << "nobody was there to take it";
}

TEST(Transport, SinkTakesOnlyGoodBodies) {
  ScriptedServer server;
  const std::string bytes = pattern(3'000'000);
  server.expect("GET /good", {.body = bytes}).expect("GET /bad", {.status = 500, .body = "oops"});
  const auto client = transport();
  std::string received;
  StringWriter sink(received);
  HttpRequest request{.url = server.url("/good"), .sink = &sink};
  EXPECT_EQ(unwrap(client->perform(request)).body, "");
  EXPECT_TRUE(received == bytes);
  received.clear();
  request.url = server.url("/bad");
  EXPECT_EQ(unwrap(client->perform(request)).body, "oops");
  EXPECT_EQ(received, "");
}

TEST(Transport, SlowSinkIsNotOverrunAndItsErrorComesBack) {
  struct FullDisk final : Writer {
    std::uint64_t taken = 0;
    Result<void> write(Bytes bytes) override {
      taken += bytes.size();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (taken > 4'000'000) {
        return fail(ErrorCode::no_space, "disk full");
      }
      return {};
    }
  };
  ScriptedServer server;
  server.expect("GET /endless", {.body = pattern(65536), .fault = Reply::Fault::endless});
  FullDisk sink;
  HttpRequest request{.url = server.url("/endless"), .sink = &sink};
  EXPECT_THAT(transport()->perform(request), fails_with(ErrorCode::no_space));
  EXPECT_LT(sink.taken, 8'000'000U);
}

TEST(Transport, BodiesInMemoryAndHeadersAreBounded) {
  ScriptedServer server;
  server.expect("GET /big", {.body = std::string(2000, 'x')})
      .expect("GET /endless", {.body = pattern(65536), .fault = Reply::Fault::endless})
      .expect("GET /errors",
              {.status = 500, .body = pattern(65536), .fault = Reply::Fault::endless})
      .expect("GET /headers", {.headers = {{"X", std::string(70'000, 'h')}}});
  const auto client = transport();
  HttpRequest request{.url = server.url("/big"), .max_body = 1999};
  EXPECT_THAT(client->perform(request), fails_with(ErrorCode::protocol, HasSubstr("larger")));
  request.url = server.url("/endless");
  EXPECT_THAT(client->perform(request), fails_with(ErrorCode::protocol, HasSubstr("larger")));
  request.url = server.url("/errors");
  const HttpResponse response = unwrap(client->perform(request));
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.size(), 8192U);
  request.url = server.url("/headers");
  EXPECT_THAT(client->perform(request), fails_with(ErrorCode::protocol, HasSubstr("headers")));
}

TEST(Transport, TruncatedBodyIsRetryableUnavailable) {
  ScriptedServer server;
  server.expect("GET /cut", {.body = pattern(100'000), .fault = Reply::Fault::cut});
  std::string received;
  StringWriter sink(received);
  HttpRequest request{.url = server.url("/cut"), .sink = &sink};
  const auto result = transport()->perform(request);
  ASSERT_THAT(result, fails_with(ErrorCode::unavailable, HasSubstr("connection lost")));
  EXPECT_TRUE(result.error().is_retryable());
  EXPECT_EQ(received.size(), 50'000U);
}

TEST(Transport, StalledPeerIsNoticed) {
  ScriptedServer server;
  server.expect("GET /stall", {.body = pattern(1000), .fault = Reply::Fault::stall});
  HttpRequest request{.url = server.url("/stall")};
  const auto result = transport({.stall_timeout = std::chrono::seconds(1)})->perform(request);
  ASSERT_THAT(result, fails_with(ErrorCode::unavailable, HasSubstr("stalled")));
  EXPECT_TRUE(result.error().is_retryable());
}

TEST(Transport, DeadKeptAliveConnectionIsReplacedOnce) {
  ScriptedServer server;
  server.expect("GET /one", {.body = "1"})
      .expect("PUT /two", {.fault = Reply::Fault::drop})
      .expect("PUT /two", {.status = 201});
  const auto client = transport();
  HttpRequest request{.url = server.url("/one")};
  EXPECT_THAT(client->perform(request), is_ok());
  const std::string bytes = pattern(50'000);
  const CountingContent content(bytes);
  HttpRequest put{.method = "PUT", .url = server.url("/two"), .body = &content};
  EXPECT_EQ(unwrap(client->perform(put)).status, 201);
  EXPECT_THAT(server.problems(), IsEmpty());
  EXPECT_TRUE(server.requests().at(2).body == bytes);
  EXPECT_EQ(content.opened, 1) << "it is held as long as it may be sent again";
  EXPECT_NE(server.requests()[1].connection, server.requests()[2].connection);
}

TEST(Transport, LargeBodyIsNotSentTwiceBehindItsSendersBack) {
  ScriptedServer server;
  server.expect("GET /one", {.body = "1"}).expect("PUT /two", {.fault = Reply::Fault::drop});
  const auto client = transport();
  HttpRequest request{.url = server.url("/one")};
  EXPECT_THAT(client->perform(request), is_ok());
  const CountingContent content(pattern(2'000'000));
  HttpRequest put{.method = "PUT", .url = server.url("/two"), .body = &content};
  const auto result = client->perform(put);
  ASSERT_THAT(result, fails_with(ErrorCode::unavailable, HasSubstr("connection lost")));
  EXPECT_TRUE(result.error().is_retryable());
  EXPECT_THAT(server.problems(), IsEmpty());
  EXPECT_EQ(content.opened, 1);
}

TEST(Transport, SmallRequestsPassLargeBodies) {
  std::mutex mutex;
  std::condition_variable changed;
  bool small_came = false;
  ScriptedServer server([&](const SeenRequest& request) -> Reply {
    std::unique_lock lock(mutex);
    if (request.target == "/small") {
      small_came = true;
      changed.notify_all();
    } else {
      changed.wait(lock, [&] { return small_came; });  // every large one takes until then
    }
    return {.status = 201};
  });
  const auto client = transport({.connections_per_host = 2});  // the least there can be
  const CountingContent content(pattern(200'000));
  std::vector<std::jthread> threads;  // joined before what they use goes
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      HttpRequest put{.method = "PUT", .url = server.url("/large"), .body = &content};
      EXPECT_THAT(client->perform(put), is_ok());
    });
  }
  while (content.opened < 6) {
    std::this_thread::yield();
  }
  HttpRequest head{.method = "HEAD", .url = server.url("/small")};
  EXPECT_THAT(client->perform(head), is_ok());
}

TEST(Transport, PullTakesAllConnectionsButOne) {
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0;
  ScriptedServer server([&](const SeenRequest&) -> Reply {
    std::unique_lock lock(mutex);
    ++begun;
    changed.notify_all();
    changed.wait(lock, [&] { return begun >= 3; });  // three at the same time, or for ever
    return {.body = "bytes"};
  });
  const auto client = transport({.connections_per_host = 4});
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::string received;
      StringWriter sink(received);
      EXPECT_THAT(client->perform({.url = server.url("/blob"), .sink = &sink}), is_ok());
    });
  }
}

TEST(Transport, StopEndsWhatIsUnderWayButNotTheCleaningUp) {
  ScriptedServer server;
  server.expect("GET /stall", {.body = pattern(1000), .fault = Reply::Fault::stall});
  server.otherwise([](const SeenRequest&) { return Reply{.status = 204}; });
  std::stop_source stop;
  const auto client = transport({.stop = stop.get_token()});
  Result<HttpResponse> stalled = HttpResponse{};
  {
    const std::jthread thread([&] {
      HttpRequest request{.url = server.url("/stall")};
      stalled = client->perform(request);
    });
    while (server.requests().empty()) {
      std::this_thread::yield();
    }
    stop.request_stop();
  }
  EXPECT_THAT(stalled, fails_with(ErrorCode::cancelled));
  HttpRequest late{.url = server.url("/late")};
  EXPECT_THAT(client->perform(late), fails_with(ErrorCode::cancelled));
  HttpRequest cleanup{.method = "DELETE", .url = server.url("/up"), .even_when_stopped = true};
  EXPECT_EQ(unwrap(client->perform(cleanup)).status, 204);
}

/// Takes the first bytes slowly, and stops everything then.
class StoppingSink final : public Writer {
 public:
  explicit StoppingSink(std::stop_source& stop) : stop_(stop) {}
  Result<void> write(Bytes /*bytes*/) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop_.request_stop();
    return {};
  }

 private:
  std::stop_source& stop_;
};

TEST(Transport, WhatBreaksWhileItIsStoppedIsStopped) {
  ScriptedServer server;
  server.expect("GET /blob", {.body = pattern(1000), .fault = Reply::Fault::cut});
  std::stop_source stop;
  StoppingSink sink(stop);
  const auto client = transport({.stop = stop.get_token()});
  EXPECT_THAT(client->perform({.url = server.url("/blob"), .sink = &sink}),
              fails_with(ErrorCode::cancelled));
}

TEST(Transport, RateLimitHoldsForAllTogether) {
  ScriptedServer server([](const SeenRequest&) { return Reply{.status = 201}; });
  const auto client = transport({.rate_limit = 4'000'000});
  const CountingContent content(pattern(1'000'000));
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        HttpRequest put{.method = "PUT", .url = server.url("/x"), .body = &content};
        EXPECT_THAT(client->perform(put), is_ok());
      });
    }
  }
  // 4 MB at 4 MB/s; what is buffered when a transfer begins is not held back.
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
}

TEST(Transport, RegistryMayTakeItsTimeWithALargeBody) {
  std::mutex mutex;
  std::condition_variable never;
  ScriptedServer server([&](const SeenRequest&) -> Reply {
    std::unique_lock lock(mutex);
    never.wait_for(lock, std::chrono::milliseconds(2500), [] { return false; });
    return {.status = 201};
  });
  const CountingContent content(pattern(100'000));
  HttpRequest put{.method = "PUT", .url = server.url("/x"), .body = &content};
  TransportOptions options{.stall_timeout = std::chrono::seconds(1), .min_speed = 1'000'000'000};
  EXPECT_THAT(transport(options)->perform(put),
              fails_with(ErrorCode::unavailable, HasSubstr("stalled")));
  options.answer_speed = 1'000;
  EXPECT_THAT(transport(options)->perform(put), is_ok());
}

/// Bytes come all the time, but it would take for ever.
TEST(Transport, DrippingPeerIsNoticed) {
  ScriptedServer server([](const SeenRequest& request) {
    Reply reply{.body = pattern(1000), .fault = Reply::Fault::drip};
    if (request.target == "/body") {
      reply.fault = Reply::Fault::drip_body;
    }
    return reply;
  });
  const auto client = transport({.stall_timeout = std::chrono::seconds(1), .min_speed = 1000});
  for (const char* target : {"/head", "/body"}) {
    std::string received;
    StringWriter sink(received);
    for (Writer* taker : {static_cast<Writer*>(nullptr), static_cast<Writer*>(&sink)}) {
      HttpRequest request{.url = server.url(target), .sink = taker};
      const auto result = client->perform(request);
      ASSERT_THAT(result, fails_with(ErrorCode::unavailable, HasSubstr("stalled"))) << target;
      EXPECT_TRUE(result.error().is_retryable());
    }
  }
}

TEST(Transport, HandshakeThatIsResetMayBeTriedAgain) {
  ScriptedServer server;
  server.hang_up();
  HttpRequest request{.url = "https://" + server.address() + "/v2/"};
  const auto result = transport()->perform(request);
  ASSERT_THAT(result, fails_with(ErrorCode::unavailable, HasSubstr("TLS handshake")));
  EXPECT_TRUE(result.error().is_retryable());
}

TEST(Transport, FreshConnectionThatDiesIsAnError) {
  for (const auto fault : {Reply::Fault::drop, Reply::Fault::reset}) {
    ScriptedServer server([fault](const SeenRequest&) { return Reply{.fault = fault}; });
    HttpRequest request{.url = server.url("/x")};
    const auto result = transport()->perform(request);
    ASSERT_THAT(result, fails_with(ErrorCode::unavailable));
    EXPECT_TRUE(result.error().is_retryable());
    EXPECT_EQ(server.requests().size(), 1U);
  }
}

TEST(Transport, EarlyAnswerEndsTheUpload) {
  ScriptedServer server;
  server.expect("PUT /x", {.status = 401, .body = "no", .fault = Reply::Fault::early});
  const CountingContent content(pattern(20'000'000));
  HttpRequest request{.method = "PUT", .url = server.url("/x"), .body = &content};
  EXPECT_EQ(unwrap(transport()->perform(request)).status, 401);
}

TEST(Transport, ShortContentIsAnErrorAndNeverPadded) {
  ScriptedServer server([](const SeenRequest&) { return Reply{.status = 201}; });
  const CountingContent content(pattern(1'000'000), 10);
  HttpRequest request{.method = "PUT", .url = server.url("/x"), .body = &content};
  EXPECT_THAT(transport()->perform(request),
              fails_with(ErrorCode::io, HasSubstr("10 bytes early")));
}

TEST(Transport, NobodyThereNamesHostCauseAndWayOut) {
  std::string address;
  {
    const ScriptedServer server;
    address = server.address();
  }
  HttpRequest request{.url = "http://" + address + "/v2/?secret=1"};
  const auto result = transport()->perform(request);
  ASSERT_THAT(result, fails_with(ErrorCode::unavailable,
                                 AllOf(HasSubstr(address), HasSubstr("connection refused"),
                                       Not(HasSubstr("secret")))));
  EXPECT_TRUE(result.error().is_retryable());
  EXPECT_THAT(result.error().hint(), HasSubstr("server runs"));
}

TEST(Transport, UnknownHostIsNamed) {
  HttpRequest request{.url = "http://no-such-host.invalid/"};
  EXPECT_THAT(transport()->perform(request),
              fails_with(ErrorCode::unavailable, HasSubstr("no-such-host.invalid")));
}

TEST(Transport, PlainHttpPeerAskedByHttpsIsSaid) {
  ScriptedServer server;
  server.greet("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  HttpRequest request{.url = "https://" + server.address() + "/v2/"};
  const auto result = transport()->perform(request);
  ASSERT_THAT(result, fails_with(ErrorCode::tls, HasSubstr("speaks http, not https")));
  EXPECT_THAT(result.error().hint(), HasSubstr("--plain-http"));
}

TEST(Transport, GarbageAnswerIsAProtocolError) {
  ScriptedServer server;
  server.expect("GET /", {.raw = "SSH-2.0-OpenSSH_9.2\r\n\r\n"});
  HttpRequest request{.url = server.url("/")};
  EXPECT_THAT(transport()->perform(request), fails_with(ErrorCode::protocol));
}

TEST(Transport, HeadersCannotBeSmuggled) {
  HttpRequest request{.url = "http://127.0.0.1:1/", .headers = {{"A", "b\r\nC: d"}}};
  EXPECT_THAT(transport()->perform(request), fails_with(ErrorCode::invalid_argument));
}

TEST(Transport, OtherSchemesAreRefused) {
  HttpRequest request{.url = "file:///etc/passwd"};
  EXPECT_FALSE(transport()->perform(request).has_value());
}

TEST(Transport, ManyThreadsShareTheBudgetOfAHost) {
  ScriptedServer server([](const SeenRequest& request) {
    return Reply{.status = request.method == "PUT" ? 201 : 200, .body = request.target};
  });
  const auto client = transport({.connections_per_host = 3});
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          const std::string target = "/" + std::to_string(t) + "/" + std::to_string(i);
          std::string received;
          StringWriter sink(received);
          HttpRequest request{.url = server.url(target)};
          request.sink = i % 2 == 0 ? &sink : nullptr;
          const auto response = client->perform(request);
          good += response && (response->body + received) == target ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(good, 160);
  std::size_t connections = 0;
  for (const SeenRequest& request : server.requests()) {
    connections = std::max(connections, request.connection + 1);
  }
  EXPECT_LE(connections, 3U);
}

// A body that is itself being downloaded from the same host must not wait for connections that only
// bodies hold.
TEST(Transport, CopiesWithinOneHostDoNotDeadlock) {
  const std::string bytes = pattern(3'000'000);
  ScriptedServer server([&bytes](const SeenRequest& request) {
    return request.method == "PUT" ? Reply{.status = request.body == bytes ? 201 : 400}
                                   : Reply{.body = bytes};
  });
  const auto client = transport({.connections_per_host = 2});

  struct Pipe final : Writer, Reader {
    std::mutex mutex;
    std::condition_variable changed;
    std::string held;
    bool ended = false;
    Result<void> write(Bytes more) override {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return held.size() < 100'000; });
      held += as_text(more);
      changed.notify_all();
      return {};
    }
    Result<std::size_t> read(MutableBytes target) override {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return !held.empty() || ended; });
      const std::size_t count = std::min(target.size(), held.size());
      std::memcpy(target.data(), held.data(), count);
      held.erase(0, count);
      changed.notify_all();
      return count;
    }
    void end() {
      const std::lock_guard lock(mutex);
      ended = true;
      changed.notify_all();
    }
  };
  struct Remote final : Content {
    Transport* client = nullptr;
    std::string url;
    std::uint64_t bytes = 0;
    mutable Pipe pipe;
    mutable std::jthread thread;
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes; }
    [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t) const override {
      thread = std::jthread([this] {
        HttpRequest request{.url = url, .sink = &pipe};
        EXPECT_THAT(client->perform(request), is_ok());
        pipe.end();
      });
      struct View final : Reader {
        Pipe* pipe = nullptr;
        Result<std::size_t> read(MutableBytes target) override { return pipe->read(target); }
      };
      auto view = std::make_unique<View>();
      view->pipe = &pipe;
      return view;
    }
  };

  std::vector<std::jthread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      Remote remote;
      remote.client = client.get();
      remote.url = server.url("/blob/" + std::to_string(i));
      remote.bytes = bytes.size();
      HttpRequest put{.method = "PUT", .url = server.url("/" + std::to_string(i)), .body = &remote};
      const auto response = client->perform(put);
      good += response && response->status == 201 ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(good, 6);
}

TEST(PrintableUrl, HasNoSecrets) {
  EXPECT_EQ(printable_url("https://user:pw@host:1/a/b?token=s#f"), "https://host:1/a/b");
  EXPECT_EQ(printable_url("http://host?x=1"), "http://host");
  EXPECT_EQ(printable_url("http://host/\x1b[31m"), printable("http://host/\x1b[31m"));
  EXPECT_EQ(printable_url("http://host/a@b"), "http://host/a@b");
}

struct ResolveCase {
  std::string_view base;
  std::string_view reference;
  std::string_view result;
};

TEST(Url, ResolvesReferencesAsRfc3986Says) {
  constexpr ResolveCase cases[] = {
      {"https://r.example/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/1?_state=x%3D&y=1",
       "https://r.example/v2/a/blobs/uploads/1?_state=x%3D&y=1"},
      {"https://r.example:5000/v2/", "https://o.example/up?a=b", "https://o.example/up?a=b"},
      {"https://r.example:5000/v2/", "//o.example/up", "https://o.example/up"},
      {"https://r.example/v2/a/b?q=1", "c", "https://r.example/v2/a/c"},
      {"https://r.example/v2/a/b", "?n=2", "https://r.example/v2/a/b?n=2"},
      {"http://r.example/v2/a#f", "/x#frag", "http://r.example/x"},
  };
  for (const ResolveCase& c : cases) {
    const Url base = unwrap(Url::parse(c.base));
    EXPECT_EQ(unwrap(base.resolve(c.reference)).str(), c.result) << c.reference;
  }
}

TEST(Url, OriginHasSchemeHostAndPort) {
  EXPECT_EQ(unwrap(Url::parse("https://R.example/x")).origin(), "https://r.example:443");
  EXPECT_EQ(unwrap(Url::parse("http://r.example:5000")).origin(), "http://r.example:5000");
  EXPECT_EQ(unwrap(Url::parse("http://[::1]:5000/")).origin(), "http://[::1]:5000");
}

TEST(Url, RefusesWhatIsNotPlainHttp) {
  for (const std::string_view text :
       {"file:///etc/passwd", "ftp://h/x", "http://u:p@h/", "http://", "/relative", "http://h/a b",
        "http://h/\r\nX: y", "", "javascript:alert(1)"}) {
    EXPECT_FALSE(Url::parse(text).has_value()) << text;
  }
  EXPECT_FALSE(unwrap(Url::parse("https://h/")).resolve("file:///etc/passwd").has_value());
}

TEST(Url, AddsQueryWithEscapedValue) {
  const Url plain = unwrap(Url::parse("https://h/up"));
  EXPECT_EQ(plain.with_query("digest", "sha256:ab").str(), "https://h/up?digest=sha256%3Aab");
  const Url queried = unwrap(Url::parse("https://h/up?_state=a%3Db"));
  EXPECT_EQ(queried.with_query("digest", "sha256:ab").str(),
            "https://h/up?_state=a%3Db&digest=sha256%3Aab");
}

}  // namespace
}  // namespace fnimage::registry
