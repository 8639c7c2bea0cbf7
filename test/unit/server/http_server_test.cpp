// The HTTP server against raw sockets: bodies both ways, clients that are slow, silent or many.
#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fnimage/base/stream.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "http_fixture.hpp"

namespace fnimage::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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

TEST_F(HttpServerTest, WhoeverWaitsForAWorkerTooLongIsToldSo) {
  start({.workers = 1, .waiting = 1});
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back([&] {
      const std::string answer = answer_to(get("/slow"));
      served += answer.starts_with("HTTP/1.1 200") ? 1 : 0;
      refused += answer.starts_with("HTTP/1.1 503") &&
                         answer.find("Retry-After: 1\r\n") != std::string::npos
                     ? 1
                     : 0;
    });
  }
  while (refused < 3) {
    pause();
  }
  EXPECT_THAT(answer_to(get("/text")), StartsWith("HTTP/1.1 200"));  // needs none
  probe.release();
  clients.clear();
  EXPECT_EQ(served, 2);
  EXPECT_EQ(refused, 3);
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

TEST_F(HttpServerTest, HalfARequestIsNotWaitedForAtTheEnd) {
  start({.head_time = std::chrono::hours(1), .drain_time = std::chrono::hours(1)});
  RawClient half = client();
  half.send("GET / HTTP/1.1\r\nHo");
  while (server->connections() == 0) {
    pause();
  }
  server->stop();
  EXPECT_EQ(half.read_to_end(), "");
}

TEST_F(HttpServerTest, StoppedBeforeItRuns) {
  auto early = HttpServer::listen("127.0.0.1", 0, probe);
  ASSERT_TRUE(early);
  (*early)->stop();
  (*early)->stop();
  (*early)->run();
}

TEST_F(HttpServerTest, EndsWheneverItIsAskedTo) {
  constexpr int rounds = 60;
  for (int i = 0; i < rounds; ++i) {
    // Connections are looked at every 10 ms: a stop comes at any moment of that.
    start({.head_time = std::chrono::seconds(0)});
    std::this_thread::sleep_for(std::chrono::microseconds(9500 + 20 * i));
    server->stop();
    thread.join();
  }
  thread = std::jthread([] {});
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

TEST_F(HttpServerTest, ReceiversEndWithTheirClients) {
  start();
  RawClient fixed = client();
  fixed.send("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
  RawClient chunked = client();
  chunked.send("POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc");
  RawClient asked = client();
  asked.send("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  while (Collector::living < 3) {
    pause();
  }
  fixed.close();
  chunked.close();
  asked.close();
  while (Collector::living > 0) {
    pause();
  }
}

TEST_F(HttpServerTest, WhatTakesTooLongAtTheEndIsCut) {
  start({.drain_time = std::chrono::seconds(1)});
  RawClient busy = client();
  busy.send(get("/slow"));
  probe.wait_for(1);
  RawClient sending = client();
  sending.send("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
  while (Collector::living < 1) {
    pause();
  }
  server->stop();
  EXPECT_EQ(sending.read_to_end(), "");
  EXPECT_EQ(busy.read_to_end(), "");  // although its handler still runs
  probe.release();
  thread.join();
  EXPECT_EQ(server->connections(), 0U);
  EXPECT_EQ(Collector::living, 0);
  thread = std::jthread([] {});
}

TEST_F(HttpServerTest, NewClientsTakeThePlaceOfThoseThatHaveBecomeIdle) {
  start({.connections = 1});
  RawClient busy = client();
  busy.send(get("/slow"));
  probe.wait_for(1);
  RawClient late = client();
  late.send(get("/text"));
  probe.release();
  EXPECT_THAT(late.read_answer(), EndsWith("shared text"));
}

TEST_F(HttpServerTest, FilesThatHaveShrunkEndTheConnection) {
  start();
  for (const std::size_t size : {20'000U, 2'000'000U}) {
    probe.file = directory.path() / std::to_string(size);
    std::ofstream(probe.file) << std::string(size, 'x');
    probe.shrinks = true;
    const std::string answer = answer_to(get("/file"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500") || !is_whole_answer(answer)) << size;
  }
}

}  // namespace
}  // namespace fnimage::server
