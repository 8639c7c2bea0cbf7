// No secret leaves the origin it belongs to, and none is in anything that people or programs get to
// see (reliability A1-A3, A8). A canary is sent through every way by which a registry can point
// elsewhere; what the foreign servers saw and everything that was reported is searched for it.
#include <fnimage/test/scripted_server.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view canary_password = "canary-password";
constexpr std::string_view canary_basic = "YW5uOmNhbmFyeS1wYXNzd29yZA==";  // ann:canary-password
constexpr std::string_view canary_token = "canary-token";
constexpr std::string_view canary_identity = "canary-identity";

enum class Scheme : std::uint8_t { basic, bearer, identity_token };
enum class Way : std::uint8_t { redirect, location, link };
enum class Foreign : std::uint8_t { port, host };

struct Leak {
  Scheme scheme;
  Way way;
  Foreign foreign;
};

class Canary : public ::testing::TestWithParam<Leak> {};

/// Everything that came to a server, as one text.
std::string seen_by(const ScriptedServer& server) {
  std::string text;
  for (const SeenRequest& request : server.requests()) {
    text += request.line() + "\n" + request.body + "\n";
    for (const auto& [name, value] : request.headers) {
      text += name + ": " + value + "\n";
    }
  }
  return text;
}

void expect_no_secret(const std::string& text) {
  for (const std::string_view secret :
       {canary_password, canary_basic, canary_token, canary_identity}) {
    EXPECT_THAT(text, Not(HasSubstr(std::string(secret))));
  }
}

Credentials credentials_of(Scheme scheme) {
  return scheme == Scheme::identity_token
             ? Credentials{.identity_token = std::string(canary_identity)}
             : Credentials{.username = "ann", .password = std::string(canary_password)};
}

TEST_P(Canary, StaysHome) {
  const Leak leak = GetParam();
  ScriptedServer foreign([](const SeenRequest&) { return Reply{.status = 404}; });
  ScriptedServer auth(
      [](const SeenRequest&) { return Reply{.body = R"({"token":"canary-token"})"}; });
  const std::string port = foreign.address().substr(foreign.address().find(':'));
  const std::string target =
      "http://" + std::string(leak.foreign == Foreign::port ? "127.0.0.1" : "localhost") + port;
  ScriptedServer server([&](const SeenRequest& request) -> Reply {
    const bool known =
        leak.scheme == Scheme::basic
            ? request.header("authorization") == "Basic " + std::string(canary_basic)
            : request.header("authorization") == "Bearer " + std::string(canary_token);
    if (!known) {
      return {.status = 401,
              .headers = {{"WWW-Authenticate", leak.scheme == Scheme::basic
                                                   ? "Basic realm=\"x\""
                                                   : "Bearer realm=\"" + auth.url("/t") + "\""}}};
    }
    if (request.target.find("/tags/list") != std::string::npos && leak.way == Way::link) {
      return {.headers = {{"Link", "<" + target + "/v2/a/tags/list?last=b>; rel=\"next\""}},
              .body = R"({"name":"a","tags":["b"]})"};
    }
    if (request.method == "POST") {
      return {.status = 202, .headers = {{"Location", target + "/upload?state=canary-token"}}};
    }
    if (request.method == "HEAD") {
      return {.status = 404};
    }
    return {.status = 307, .headers = {{"Location", target + "/data?sig=canary-token"}}};
  });
  TestClient client({.plain_http = true},
                    fixed_credentials(server.address(), credentials_of(leak.scheme)));
  const auto store = client.repository(server.address() + "/a");
  std::string told;
  const std::string bytes = "some bytes";
  if (leak.way == Way::location) {
    const auto result = store->put_blob(blob_of(bytes), *memory_content(bytes), {});
    told = result ? "" : result.error().describe() + result.error().hint();
  } else if (leak.way == Way::link) {
    const auto result = store->tags();
    told = result ? "" : result.error().describe() + result.error().hint();
  } else {
    const auto result = store->get_manifest(Selector("x"));
    told = result ? "" : result.error().describe() + result.error().hint();
  }
  std::string headers;
  for (const SeenRequest& request : foreign.requests()) {
    EXPECT_EQ(request.header("authorization"), std::nullopt);
    EXPECT_EQ(request.header("cookie"), std::nullopt);
    headers += request.body;
  }
  expect_no_secret(headers);
  if (leak.way == Way::link) {
    EXPECT_EQ(seen_by(foreign), "");
  } else {
    EXPECT_FALSE(foreign.requests().empty());  // else the case tests nothing
  }
  for (const std::string& message : client.messages()) {
    told += message + "\n";
  }
  EXPECT_NE(told, "");
  expect_no_secret(told);
}

std::vector<Leak> all_ways() {
  std::vector<Leak> ways;
  for (const Scheme scheme : {Scheme::basic, Scheme::bearer, Scheme::identity_token}) {
    for (const Way way : {Way::redirect, Way::location, Way::link}) {
      for (const Foreign foreign : {Foreign::port, Foreign::host}) {
        ways.push_back({scheme, way, foreign});
      }
    }
  }
  return ways;
}

INSTANTIATE_TEST_SUITE_P(Table, Canary, ::testing::ValuesIn(all_ways()));

TEST(Secrets, OfATokenServersAnswerAreNotTold) {
  ScriptedServer auth([](const SeenRequest&) {
    return Reply{.body = R"({"token":"canary-token with blanks","access_token":"canary-token"})"};
  });
  ScriptedServer server([&](const SeenRequest&) -> Reply {
    return {.status = 401,
            .headers = {{"WWW-Authenticate",
                         "Bearer realm=\"" + auth.url("/t?k=canary-token") + "\",service=\"s\""}}};
  });
  TestClient client({.plain_http = true},
                    fixed_credentials(server.address(), credentials_of(Scheme::bearer)));
  const auto result = client->ping(server.address());
  ASSERT_FALSE(result);
  expect_no_secret(result.error().describe() + result.error().hint());
}

}  // namespace
}  // namespace fnimage::registry
