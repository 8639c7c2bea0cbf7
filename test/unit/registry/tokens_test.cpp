// Which token serves which request, when one is asked for and when it is renewed: the
// authenticator with a token server and a clock that the tests play.
#include <condition_variable>
#include <thread>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/scripted_server.hpp>

#include "auth.hpp"
#include "client_fixture.hpp"
#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

/// An authenticator whose registry wants tokens, which are numbers: "1", "2", …
class TokensTest : public ::testing::Test {
 protected:
  TokensTest() {
    Scopes none;
    const HttpResponse challenge{
        .status = 401, .headers = {{"WWW-Authenticate", R"(Bearer realm="https://r.example/t")"}}};
    EXPECT_TRUE(unwrap(authenticator_.challenged(challenge, std::nullopt, none)));
  }
  std::string token(const Scopes& scopes) {
    return unwrap(authenticator_.authorization(registry_, {}, scopes)).value_or("none");
  }
  /// What the token server is asked, one URL each.
  [[nodiscard]] std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  const Url registry_ = unwrap(Url::parse("https://r.example/"));
  std::chrono::steady_clock::time_point now_{};
  std::function<void()> while_asked_ = [] {};

 private:
  Result<HttpResponse> answer(const HttpRequest& request) {
    std::string number;
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(request.url);
      number = std::to_string(asked_.size());
    }
    while_asked_();
    return HttpResponse{.status = 200,
                        .body = R"({"token":")" + number + R"(","expires_in":1000})"};
  }

  mutable std::mutex mutex_;
  std::vector<std::string> asked_;

 protected:
  Authenticator authenticator_{
      "r.example",
      nullptr,
      {.send = [this](const HttpRequest& request) { return answer(request); },
       .clock = [this] { return now_; }}};
};

TEST_F(TokensTest, MoreRightsServeForFewer) {
  EXPECT_EQ(token({"repository:a:pull,push"}), "Bearer 1");
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 1");
  EXPECT_EQ(token({"repository:a:push,pull"}), "Bearer 1");
  EXPECT_EQ(token({"repository:a:pull,delete"}), "Bearer 2");
  EXPECT_EQ(token({"repository:b:pull"}), "Bearer 3");
  EXPECT_THAT(asked(), SizeIs(3));
}

TEST_F(TokensTest, FewerRightsDoNotServeForMore) {
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 1");
  EXPECT_EQ(token({"repository:a:pull,push"}), "Bearer 2");
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 2");
}

TEST_F(TokensTest, MountsServeForTheirTargetLater) {
  EXPECT_EQ(token({"repository:a:pull,push", "repository:b:pull"}), "Bearer 1");
  EXPECT_EQ(token({"repository:a:pull,push"}), "Bearer 1");
  // The source may belong to other credentials.
  EXPECT_EQ(token({"repository:b:pull"}), "Bearer 2");
}

TEST_F(TokensTest, AreRenewedAtFourFifthsOfTheirLife) {
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 1");
  now_ += std::chrono::seconds(799);
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 1");
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 2");
  now_ += std::chrono::seconds(799);
  EXPECT_EQ(token({"repository:a:pull"}), "Bearer 2");
}

TEST_F(TokensTest, ThatWereRefusedServeNoMore) {
  Scopes scopes{"repository:a:pull"};
  EXPECT_EQ(token({"repository:a:pull,push"}), "Bearer 1");
  const HttpResponse refused{
      .status = 401, .headers = {{"WWW-Authenticate", R"(Bearer realm="https://r.example/t")"}}};
  EXPECT_TRUE(unwrap(authenticator_.challenged(refused, "Bearer 1", scopes)));
  EXPECT_EQ(token(scopes), "Bearer 2");
  EXPECT_THAT(asked().back(), Not(HasSubstr("push")));
}

TEST_F(TokensTest, OneIsAskedForByManyAndDifferentOnesAtTheSameTime) {
  // Nobody is answered before requests of both repositories are under way.
  std::mutex mutex;
  std::condition_variable changed;
  int under_way = 0;
  while_asked_ = [&] {
    std::unique_lock lock(mutex);
    ++under_way;
    changed.notify_all();
    changed.wait(lock, [&] { return under_way >= 2; });
  };
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        const std::string name = i % 2 == 0 ? "a" : "b";
        const Scopes scopes{"repository:" + name + (i < 4 ? ":pull,push" : ":push,pull")};
        const auto got = authenticator_.authorization(registry_, {}, scopes);
        wrong += got && *got && (*got)->starts_with("Bearer ") ? 0 : 1;
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_THAT(asked(), SizeIs(2));
}

TEST(Tokens, DestinationsAskForTheRightToWriteAtOnce) {
  ScriptedServer auth([](const SeenRequest&) { return Reply{.body = R"({"token":"T"})"}; });
  ScriptedServer server([&](const SeenRequest& request) -> Reply {
    if (!request.header("authorization")) {
      return {.status = 401,
              .headers = {{"WWW-Authenticate", "Bearer realm=\"" + auth.url("/t") + "\""}}};
    }
    return {.status = request.method == "HEAD" ? 404 : 403};
  });
  const auto from = make_memory_store("from");
  test::put_list(*from, "v1");
  TestClient client({.plain_http = true});
  const auto store = client.repository(server.address() + "/a");
  EXPECT_THAT(transfer(*from, "v1", *store, {.tags = {"v1"}}, null_diagnostics()),
              fails_with(ErrorCode::unauthorized));
  EXPECT_THAT(auth.lines(), AllOf(SizeIs(1), Each(HasSubstr("push"))));
}

TEST(Tokens, RefusalsSayWhoseCredentialsAndWhereFrom) {
  ScriptedServer auth([](const SeenRequest&) { return Reply{.status = 401}; });
  const std::vector<std::string> challenges{"Basic realm=\"x\"",
                                            "Bearer realm=\"" + auth.url("/t") + "\""};
  for (const std::string& challenge : challenges) {
    ScriptedServer server([&](const SeenRequest&) {
      return Reply{.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
    });
    TestClient client(
        {.plain_http = true},
        fixed_credentials(server.address(),
                          {.username = "ann", .password = "canary", .source = "the environment"}));
    const auto result = client->ping(server.address());
    EXPECT_THAT(result, fails_with(ErrorCode::unauthorized,
                                   AllOf(HasSubstr("the credentials of ann from the environment "
                                                   "were refused"),
                                         Not(HasSubstr("canary")))));
  }
}

}  // namespace
}  // namespace fnimage::registry
