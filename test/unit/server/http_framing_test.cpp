// Requests that two servers could read in two ways, and others that are wrong on purpose: refused
// with one answer, after which the connection ends (RFC 9112 2.2, 3.2, 5, 6, 7.1; reliability A23).
#include <chrono>
#include <string>
#include <vector>

#include "http_fixture.hpp"

namespace fnimage::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using HttpFramingTest = HttpServerTest;

struct FramingCase {
  std::string request;
  std::string answer;  ///< its status
};

std::string with_fields(const std::string& fields) {
  return "POST /take HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
}

std::string with_chunks(const std::string& chunks) {
  return with_fields("Transfer-Encoding: chunked\r\n") + chunks;
}

std::vector<FramingCase> lengths() {
  return {
      {with_fields("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", "400"},
      {with_fields("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "0\r\n\r\n", "400"},
      {with_fields("Transfer-Encoding: gzip\r\nContent-Length: 3\r\n") + "abc", "400"},
      {with_fields("Content-Length: 3\r\nContent-Length: 4\r\n") + "abcd", "400"},
      {with_fields("Content-Length: 3\r\nContent-Length: 3\r\n") + "abc", "400"},
      {with_fields("Content-Length: -1\r\n"), "400"},
      {with_fields("Content-Length: +3\r\n") + "abc", "400"},
      {with_fields("Content-Length: 3, 3\r\n") + "abc", "400"},
      {with_fields("Content-Length: 3,\r\n") + "abc", "400"},
      {with_fields("Content-Length: 0x3\r\n") + "abc", "400"},
      {with_fields("Content-Length: 3 3\r\n") + "abc", "400"},
      {with_fields("Content-Length:\r\n"), "400"},
      {with_fields("Content-Length: 99999999999999999999999\r\n"), "400"},
      {with_fields("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n", "501"},
      {with_fields("Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n", "501"},
      {with_fields("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n", "501"},
      {with_fields("Transfer-Encoding: identity\r\n"), "501"},
      {with_fields("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n", "501"},
      {with_fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
       "501"},
      {with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
       "400"},
      {"POST /take HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
  };
}

std::vector<FramingCase> chunks() {
  return {
      {with_chunks("fffffffffffffffff\r\n"), "400"},
      {with_chunks("-1\r\n"), "400"},
      {with_chunks("+1\r\na\r\n0\r\n\r\n"), "400"},
      {with_chunks("0x1\r\na\r\n0\r\n\r\n"), "400"},
      {with_chunks(" 1\r\na\r\n0\r\n\r\n"), "400"},
      {with_chunks("\r\n0\r\n\r\n"), "400"},
      {with_chunks("3\r\nabcX\r\n0\r\n\r\n"), "400"},
      {with_chunks("3\nabc\n0\n\n\r\n\r\n"), "400"},
      {with_chunks("1;\nx\r\na\r\n0\r\n\r\n"), "400"},
      {with_chunks("0\r\nno field\r\n\r\n"), "400"},
      {with_chunks("1;" + std::string(2'000'000, 'x')), "431"},
      {with_chunks("0\r\n" + std::string(2'000'000, 'x')), "431"},
  };
}

std::vector<FramingCase> heads() {
  return {
      {"GET /a HTTP/1.1\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x/y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x, y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX: a\r\n\tTransfer-Encoding: chunked\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\nHost: x\n\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\n\rX: y\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX: a" + std::string(1, '\0') + "b\r\n\r\n", "400"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX: a\x7f\r\n\r\n", "400"},
      {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET\t/a\tHTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {" GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET /a HTTP/1.1 \r\nHost: x\r\n\r\n", "400"},
      {"GET /a\r\n\r\n", "400"},
      {"G@T /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET /a\x7f HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET ftp://x/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "505"},
      {"GET /a HTTP/0.9\r\nHost: x\r\n\r\n", "505"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nExpect: miracle\r\n\r\n", "417"},
      {"GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nExpect: more\r\n\r\n", "417"},
      {"\x16\x03\x01\x02", "400"},  // TLS: no line ends in it
  };
}

TEST_F(HttpFramingTest, WhatCouldBeReadInTwoWaysIsRefused) {
  start();
  for (const auto& cases : {lengths(), chunks(), heads()}) {
    for (const FramingCase& one : cases) {
      RawClient sender = client();
      sender.send(one.request);
      sender.send(get("/smuggled"));
      const std::string answer = sender.read_to_end();
      const std::string shown = one.request.substr(0, 200);
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + one.answer)) << shown;
      EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n")) << shown;
      EXPECT_EQ(answer.find("HTTP/1.1 200"), std::string::npos) << shown;
    }
  }
}

TEST_F(HttpFramingTest, WhatMayDifferIsTaken) {
  start();
  for (const std::string& request : std::vector<std::string>{
           "\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET http://y:1/a HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET HTTPS://y/a HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost:\r\n\r\n",
           "GET /a HTTP/1.1\r\nhOsT:\t [::1]:80 \t\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: x\r\nX:\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: x\r\nX: \xc3\xa4\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
           "GET /a HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
       }) {
    EXPECT_THAT(answer_to(request), EndsWith("GET /a? ")) << request;
  }
  EXPECT_THAT(answer_to("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("GET /? "));
  EXPECT_THAT(answer_to("GET http://x?y HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("GET /?y "));
}

TEST_F(HttpFramingTest, RequestsMayComeByteByByte) {
  start();
  RawClient one = client();
  for (const char c : get("/a?b=c", "X-Many: 1\r\n") + with_chunks("3\r\nabc\r\n0\r\n\r\n")) {
    one.send({&c, 1});
  }
  EXPECT_THAT(one.read_answer(), EndsWith("\r\n\r\nGET /a?b=c 1"));
  EXPECT_THAT(one.read_answer(), HasSubstr("\r\n\r\n3 sha256:ba7816bf"));
}

TEST_F(HttpFramingTest, LongHeadsAreRefused) {
  start();
  EXPECT_THAT(answer_to(get("/" + std::string(70'000, 'a'))), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to("GET /" + std::string(70'000, 'a')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to(get("/a", "X: " + std::string(70'000, 'a') + "\r\n")),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to(get("/" + std::string(60'000, 'a'))), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpFramingTest, AnEndOfChunksMayComeInPieces) {
  start();
  RawClient one = client();
  one.send(with_chunks("0\r\n"));
  pause();
  one.send("X");
  pause();
  one.send(": y\r\n\r\n");
  EXPECT_THAT(one.read_answer(), HasSubstr("\r\n\r\n0 sha256:e3b0c442"));
}

/// A body that is answered before its end must be read no further than to its end.
TEST_F(HttpFramingTest, AfterAnEarlyAnswerTheNextRequestIsFound) {
  start();
  RawClient one = client();
  const std::string body(40'000, 'x');
  one.send(post("/refuse", body) + get("/next"));
  EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(one.read_answer(), EndsWith("GET /next? "));
  one.send(post("/refuse", body).substr(0, 20'000));  // the rest later
  EXPECT_THAT(one.read_answer(), StartsWith("HTTP/1.1 413"));
  one.send(post("/refuse", body).substr(20'000) + get("/next"));
  EXPECT_THAT(one.read_answer(), EndsWith("GET /next? "));
}

}  // namespace
}  // namespace fnimage::server
