// The HTTP server against raw sockets: framing, bodies both ways, clients that are slow, silent,
// many, or wrong on purpose.
#include "http/http_server.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// A client that sends what it is told to, byte for byte.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what connect() takes
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ADD_FAILURE() << std::strerror(errno);
    }
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { close(); }

  [[nodiscard]] int descriptor() const { return socket_; }
  void close() {
    if (socket_ >= 0) {
      ::close(std::exchange(socket_, -1));
    }
  }
  /// False: the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  /// One more piece; empty at the end.
  std::string read_some() {
    std::string buffer(1 << 16, '\0');
    const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), 0);
    buffer.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return buffer;
  }
  std::string read_to_end() {
    std::string all;
    for (std::string piece = read_some(); !piece.empty(); piece = read_some()) {
      all += piece;
    }
    return all;
  }
  /// A head and so many bytes of body as it says.
  std::string read_answer(bool has_body = true) {
    while (true) {
      const std::size_t end = pending_.find("\r\n\r\n");
      if (end != std::string::npos) {
        const std::size_t field = pending_.find("Content-Length: ");
        const std::size_t length =
            has_body && field < end ? std::stoul(pending_.substr(field + 16)) : 0;
        if (pending_.size() >= end + 4 + length) {
          std::string answer = pending_.substr(0, end + 4 + length);
          pending_.erase(0, answer.size());
          return answer;
        }
      }
      const std::string piece = read_some();
      if (piece.empty()) {
        return std::exchange(pending_, {});
      }
      pending_ += piece;
    }
  }

 private:
  int socket_;
  std::string pending_{};
};

/// Collects a body, or only its digest.
class Collector final : public BodyReceiver {
 public:
  explicit Collector(std::size_t limit) : limit_(limit) {}
  std::optional<Response> write(Bytes bytes) override {
    size_ += bytes.size();
    hasher_.update(bytes);
    if (size_ > limit_) {
      return Response{.status = 413, .body = std::string("too much")};
    }
    return std::nullopt;
  }
  Response end() override { return {.body = fmt::format("{} {}", size_, hasher_.finish().str())}; }

 private:
  std::size_t limit_;
  std::size_t size_ = 0;
  manifest::Hasher hasher_{};
};

/// A path names what is done.
class Probe final : public Handler {
 public:
  std::filesystem::path file{};

  [[nodiscard]] bool is_quick(const Request& request) const override {
    return request.path != "/slow" && request.path != "/throw-slowly";
  }
  Answer answer(const Request& request) override {
    if (request.path == "/take") {
      return std::make_unique<Collector>(std::size_t{1} << 40U);
    }
    if (request.path == "/take-little") {
      return std::make_unique<Collector>(100'000);
    }
    if (request.path == "/file") {
      const auto opened = OpenFile::open(file);
      return Response{.body = FileSlice{*opened, 10, (*opened)->size() - 10}};
    }
    if (request.path == "/text") {
      return Response{.body = std::make_shared<const std::string>("shared text")};
    }
    if (request.path == "/bad-field") {
      return Response{.headers = {{"X-Odd", "a\r\nX-Made: up"}}};
    }
    if (request.path == "/nothing") {
      return Response{.status = 204};
    }
    if (request.path == "/throw" || request.path == "/throw-slowly") {
      throw std::bad_alloc();
    }
    if (request.path == "/slow") {
      wait();
    }
    return Response{.body = fmt::format("{} {}?{} {}", request.method, request.path, request.query,
                                        request.joined("X-Many"))};
  }
  void wait() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return go_on; });
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting >= count; });
  }
  void release() {
    const std::lock_guard lock(mutex);
    go_on = true;
    changed.notify_all();
  }

 private:
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool go_on = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(const HttpLimits& limits = {}, const std::optional<TlsFiles>& tls = {}) {
    auto listening = HttpServer::listen("127.0.0.1", 0, probe, tls, limits);
    ASSERT_TRUE(listening) << listening.error().describe();
    server = std::move(*listening);
    thread = std::jthread([this] { server->run(); });
  }
  void TearDown() override {
    probe.release();
    if (server) {
      server->stop();
      thread.join();
    }
  }
  RawClient client() { return RawClient(server->port()); }
  /// What is answered to bytes that are all that a client sends.
  std::string answer_to(std::string_view bytes) {
    RawClient one = client();
    one.send(bytes);
    return one.read_answer();
  }

  test::TempDir directory;
  Probe probe;
  std::unique_ptr<HttpServer> server;
  std::jthread thread;
};

std::string get(std::string_view path, std::string_view more = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", path, more);
}

std::string post(std::string_view path, std::string_view body, std::string_view more = {}) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{}", path,
                     body.size(), more, body);
}

TEST_F(HttpServerTest, AnswersOneAfterTheOther) {
  start();
  RawClient one = client();
  one.send(get("/a?b=c", "X-Many: 1\r\nx-many: 2\r\n"));
  const std::string first = one.read_answer();
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(first, EndsWith("\r\n\r\nGET /a?b=c 1, 2"));
  EXPECT_THAT(first, HasSubstr("\r\nDate: "));
  one.send(get("/text") + get("/2") + post("/take", "abc") + get("/3"));  // not waiting
  EXPECT_THAT(one.read_answer(), EndsWith("shared text"));
  EXPECT_THAT(one.read_answer(), EndsWith("GET /2? "));
  EXPECT_THAT(one.read_answer(), HasSubstr("\r\n\r\n3 sha256:ba7816bf"));
  EXPECT_THAT(one.read_answer(), EndsWith("GET /3? "));
}

TEST_F(HttpServerTest, AnswersWithoutBodies) {
  start();
  RawClient one = client();
  one.send("HEAD /text HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string head = one.read_answer(false);
  EXPECT_THAT(head, HasSubstr("Content-Length: 11\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  one.send(get("/nothing"));
  const std::string nothing = one.read_answer();
  EXPECT_THAT(nothing, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(nothing, Not(HasSubstr("Content-Length")));
  one.send(get("/bad-field"));
  EXPECT_THAT(one.read_answer(), Not(HasSubstr("\r\nX-Made")));
}

TEST_F(HttpServerTest, ConnectionsEndWhenTheyShould) {
  start();
  RawClient closing = client();
  closing.send(get("/a", "Connection: close\r\n"));
  EXPECT_THAT(closing.read_to_end(), HasSubstr("Connection: close\r\n"));
  RawClient old = client();
  old.send("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.read_to_end(), EndsWith("GET /a? "));
  RawClient kept = client();
  kept.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(kept.read_answer(), HasSubstr("Connection: keep-alive\r\n"));
  kept.send("GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(kept.read_answer(), EndsWith("GET /b? "));
}

struct FramingCase {
  std::string request;
  std::string answer;  ///< how it begins
};

TEST_F(HttpServerTest, WhatCouldBeReadInTwoWaysIsRefused) {
  start();
  const std::string post_line = "POST /take HTTP/1.1\r\nHost: x\r\n";
  for (const FramingCase& one : std::vector<FramingCase>{
           {post_line + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
           {post_line + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "400"},
           {post_line + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
           {post_line + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400"},
           {post_line + "Content-Length: -1\r\n\r\n", "400"},
           {post_line + "Content-Length: +3\r\n\r\nabc", "400"},
           {post_line + "Content-Length: 3, 3\r\n\r\nabc", "400"},
           {post_line + "Content-Length: 99999999999999999999999\r\n\r\n", "400"},
           {post_line + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
           {post_line + "Transfer-Encoding: identity\r\n\r\n", "501"},
           {post_line + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "400"},
           {post_line + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "400"},
           {post_line + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n", "400"},
           {"GET /a HTTP/1.1\r\n\r\n", "400"},
           {"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
           {"GET /a HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", "400"},
           {"GET /a HTTP/1.1\r\nHost: x\r\nX: y\r\n folded\r\n\r\n", "400"},
           {"GET /a HTTP/1.1\nHost: x\n\n", "400"},
           {"GET /a HTTP/1.1\r\nHost: x\r\nX: y\n\r\n", "400"},
           {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "505"},
           {"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
           {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
           {"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
           {"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "505"},
           {"GET /a HTTP/1.1\r\nHost: x\r\nExpect: miracle\r\n\r\n", "417"},
           {"\x16\x03\x01\x02\r\n\r\n", "400"},
       }) {
    EXPECT_THAT(answer_to(one.request), StartsWith("HTTP/1.1 " + one.answer)) << one.request;
  }
}

TEST_F(HttpServerTest, TargetsWithAHostAreCutToTheirPath) {
  start();
  EXPECT_THAT(answer_to("GET http://x:1/a?b HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("GET /a?b "));
  EXPECT_THAT(answer_to("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("GET /? "));
}

TEST_F(HttpServerTest, EmptyLinesBeforeARequestAreNothing) {
  start();
  EXPECT_THAT(answer_to("\r\n\r\n" + get("/a")), EndsWith("GET /a? "));
}

TEST_F(HttpServerTest, LongHeadsAreRefused) {
  start();
  EXPECT_THAT(answer_to(get("/" + std::string(70'000, 'a'))), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to(get("/" + std::string(60'000, 'a'))), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ChunkedBodies) {
  start();
  RawClient one = client();
  const std::string head = "POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  one.send(head + "1;extension=x\r\na\r\n2\r\nbc\r\n0\r\nX-Trailer: y\r\n\r\n" + get("/next"));
  EXPECT_THAT(one.read_answer(), HasSubstr("\r\n\r\n3 sha256:ba7816bf"));
  EXPECT_THAT(one.read_answer(), EndsWith("GET /next? "));
  one.send(head + "0\r\n\r\n");
  EXPECT_THAT(one.read_answer(), HasSubstr("\r\n\r\n0 sha256:e3b0c442"));
}

TEST_F(HttpServerTest, LargeBodies) {
  start();
  std::string block(1 << 20, '\0');
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] = static_cast<char>(i * 2654435761U >> 13U);
  }
  constexpr int blocks = 40;
  manifest::Hasher hasher;
  RawClient fixed = client();
  RawClient chunked = client();
  fixed.send(fmt::format("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                         blocks * block.size()));
  chunked.send("POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < blocks; ++i) {
    hasher.update(as_bytes(block));
    ASSERT_TRUE(fixed.send(block));
    ASSERT_TRUE(chunked.send(fmt::format("{:x}\r\n{}\r\n", block.size(), block)));
  }
  chunked.send("0\r\n\r\n");
  const std::string wanted = fmt::format("{} {}", blocks * block.size(), hasher.finish().str());
  EXPECT_THAT(fixed.read_answer(), EndsWith(wanted));
  EXPECT_THAT(chunked.read_answer(), EndsWith(wanted));
}

TEST_F(HttpServerTest, SlicesOfFiles) {
  for (const std::size_t size : {10U, 11U, 5'000U, 9'000'000U}) {
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
      content[i] = static_cast<char>('a' + i % 26);
    }
    probe.file = directory.path() / std::to_string(size);
    std::ofstream(probe.file, std::ios::binary) << content;
    if (!server) {
      start();
    }
    RawClient one = client();
    one.send(get("/file") + get("/text"));
    const std::string answer = one.read_answer();
    EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), content.substr(10)) << size;
    EXPECT_THAT(one.read_answer(), EndsWith("shared text"));
  }
}

TEST_F(HttpServerTest, AnEarlyAnswerReachesAClientThatSendsOn) {
  start();
  RawClient one = client();
  constexpr std::size_t size = 15'000'000;
  one.send(
      fmt::format("POST /take-little HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", size));
  const std::string block(1 << 20, 'x');
  for (std::size_t sent = 0; sent < size && one.send(block); sent += block.size()) {
  }
  EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, BodiesThatNobodyWants) {
  start();
  RawClient one = client();
  one.send(post("/a", std::string(60'000, 'x')) + get("/next"));
  EXPECT_THAT(one.read_answer(), EndsWith("POST /a? "));
  EXPECT_THAT(one.read_answer(), EndsWith("GET /next? "));
  RawClient large = client();
  large.send(post("/a", std::string(70'000, 'x')));
  EXPECT_THAT(large.read_to_end(), HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpServerTest, Expectations) {
  start();
  RawClient one = client();
  one.send("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 100 Continue\r\n"));
  one.send("abc");
  EXPECT_THAT(one.read_answer(), HasSubstr("3 sha256:ba7816bf"));
  // Whether the body comes then is the client's choice: so the connection ends.
  one.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(one.read_to_end(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, WhatIsThrownIsAnAnswer) {
  start();
  EXPECT_THAT(answer_to(get("/throw")), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(answer_to(get("/throw-slowly")), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(answer_to(get("/text")), StartsWith("HTTP/1.1 200"));
}

/// Of clients that wait for answers, the one that gets its first.
RawClient& first_answered(std::vector<RawClient>& clients) {
  std::vector<pollfd> sockets;
  for (const RawClient& one : clients) {
    sockets.push_back({.fd = one.descriptor(), .events = POLLIN, .revents = 0});
  }
  ::poll(sockets.data(), sockets.size(), -1);
  const auto found = std::ranges::find_if(sockets, [](const pollfd& s) { return s.revents != 0; });
  return clients[static_cast<std::size_t>(found - sockets.begin())];
}

TEST_F(HttpServerTest, WhoeverWaitsForAWorkerTooLongIsToldSo) {
  start({.workers = 1, .waiting = 1});
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {  // one is worked on, one may wait
    clients.push_back(client());
    clients.back().send(get("/slow"));
  }
  RawClient& refused = first_answered(clients);
  const std::string answer = refused.read_answer();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(answer_to(get("/text")), StartsWith("HTTP/1.1 200"));  // needs none
  probe.release();
  for (RawClient& one : clients) {
    if (&one != &refused) {
      EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 200"));
    }
  }
}

TEST_F(HttpServerTest, SlowClientsHoldNobodyUpAndEnd) {
  start({.head_time = std::chrono::seconds(1), .idle_time = std::chrono::seconds(60)});
  std::vector<RawClient> slow;
  for (int i = 0; i < 300; ++i) {
    slow.push_back(client());
    slow.back().send("GET / HTTP/1.1\r\nX-Sl");
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(answer_to(get("/text")), StartsWith("HTTP/1.1 200"));
  }
  for (RawClient& one : slow) {
    EXPECT_EQ(one.read_to_end(), "");
  }
}

TEST_F(HttpServerTest, BodiesThatStallEnd) {
  start({.stall_time = std::chrono::seconds(1), .stall_bytes = 1000});
  RawClient one = client();
  one.send("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
  EXPECT_EQ(one.read_to_end(), "");
  probe.file = directory.path() / "large";
  std::ofstream(probe.file) << std::string(50'000'000, 'x');
  RawClient two = client();
  two.send(get("/file"));  // and does not read
  while (server->connections() > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

TEST_F(HttpServerTest, NewClientsTakeThePlaceOfIdleOnes) {
  start({.connections = 3});
  std::vector<RawClient> idle;
  for (int i = 0; i < 3; ++i) {
    idle.push_back(client());
    idle.back().send(get("/text"));
    EXPECT_THAT(idle.back().read_answer(), EndsWith("shared text"));
  }
  EXPECT_THAT(answer_to(get("/text")), EndsWith("shared text"));
  EXPECT_THAT(answer_to(get("/text")), EndsWith("shared text"));
}

TEST_F(HttpServerTest, BusyConnectionsAreNotEndedForNewOnes) {
  start({.connections = 2});
  std::vector<RawClient> busy;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(client());
    busy.back().send(get("/slow"));
  }
  probe.wait_for(2);
  RawClient late = client();
  late.send(get("/text"));
  probe.release();
  EXPECT_THAT(late.read_answer(), EndsWith("shared text"));
  for (RawClient& one : busy) {
    EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 200"));
  }
}

TEST_F(HttpServerTest, RequestsInProgressAreAnsweredAtTheEnd) {
  start();
  RawClient idle = client();
  idle.send(get("/text"));
  idle.read_answer();
  RawClient busy = client();
  busy.send(get("/slow"));
  probe.wait_for(1);
  server->stop();
  EXPECT_EQ(idle.read_to_end(), "");
  probe.release();
  const std::string answer = busy.read_to_end();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpServerTest, StoppedBeforeItRuns) {
  auto early = HttpServer::listen("127.0.0.1", 0, probe);
  ASSERT_TRUE(early);
  (*early)->stop();
  (*early)->stop();
  (*early)->run();
}

TEST_F(HttpServerTest, WhereItCannotListen) {
  start();
  EXPECT_THAT(HttpServer::listen("127.0.0.1", server->port(), probe),
              test::fails_with(ErrorCode::unavailable));
  EXPECT_THAT(HttpServer::listen("nowhere", 0, probe),
              test::fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(HttpServer::listen("127.0.0.1", 0, probe, TlsFiles{"/none", "/none"}),
              test::fails_with(ErrorCode::not_found));
}

}  // namespace
}  // namespace fnimage::server
