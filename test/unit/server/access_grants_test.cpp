// Tokens that the API gives and takes, and files that change meanwhile.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

#include "access_registry.hpp"

namespace fnimage::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Gate, TokensAreGoodForWhatWasAskedAndAllowed) {
  Registry registry;
  const Response response =
      registry.send("GET",
                    "/v2/token?account=bob&service=x&scope=repository:other/a:pull,push,delete%20"
                    "repository:team/a:pull&scope=repository:shared:pull,push",
                    bob);
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(header_of(response, "Cache-Control"), "no-store");
  const auto json = Registry::json_of(response);
  EXPECT_EQ(json["scope"], "repository:other/a:pull,push repository:shared:pull");
  EXPECT_EQ(json["expires_in"], 300);
  EXPECT_EQ(json["token"], json["access_token"]);
  const std::string token = "Bearer " + json["token"].get<std::string>();
  EXPECT_LT(token.size(), 400);
  EXPECT_EQ(registry.status("GET", "/v2/", token), 200);
  EXPECT_EQ(registry.status("GET", "/v2/other/a/tags/list", token), 200);
  EXPECT_EQ(registry.status("GET", "/v2/shared/tags/list", token), 200);
  EXPECT_EQ(registry.status("POST", "/v2/shared/blobs/uploads/", token), 403);
  EXPECT_EQ(registry.status("GET", "/v2/team/a/tags/list", token), 403);
  const Response more = registry.send("GET", "/v2/public/tags/list", token);
  EXPECT_EQ(more.status, 401) << "may be pulled, with another token";
  EXPECT_THAT(header_of(more, "WWW-Authenticate"),
              HasSubstr(R"(scope="repository:public:pull",error="insufficient_scope")"));
  EXPECT_EQ(registry.status("GET", "/v2/token?scope=repository:other/a:pull", token), 401)
      << "no token for a token";
  const std::string pull = registry.token(bob, "repository:other/a:pull");
  EXPECT_EQ(registry.status("POST", "/v2/other/a/blobs/uploads/", pull), 401);
  EXPECT_EQ(registry.status("GET", "/v2/", pull.substr(0, pull.size() - 1)), 401);
  EXPECT_EQ(registry.status("GET", "/v2/", registry.token(bob, "")), 200) << "docker login";
  EXPECT_EQ(registry.status("DELETE", "/v2/token", bob), 405);
  EXPECT_EQ(registry.status("HEAD", "/v2/token", bob), 200);
}

TEST(Gate, TokensOfForms) {
  Registry registry;
  const auto post = [&](std::string form) {
    registry.body = std::move(form);
    Request request = make_request("POST", "/v2/token");
    request.has_body = true;
    return registry.send(request);
  };
  const Response response = post(
      "grant_type=password&username=bob&password=bob-secret&service=x&client_id=containerd&"
      "scope=repository%3Aother%2Fa%3Apull+repository%3Ashared%3Apull");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(Registry::json_of(response)["scope"], "repository:other/a:pull repository:shared:pull");
  const std::string token =
      "Bearer " + Registry::json_of(response)["access_token"].get<std::string>();
  EXPECT_EQ(registry.status("GET", "/v2/other/a/tags/list", token), 200);
  const Response wrong = post("grant_type=password&username=bob&password=ann-secret");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_THAT(std::get<std::string>(wrong.body), Not(HasSubstr("ann-secret")));
  EXPECT_EQ(post("grant_type=refresh_token&refresh_token=x").status, 400);
  EXPECT_EQ(post("grant_type=password&username=bob").status, 400);
  EXPECT_EQ(post("").status, 400);
  EXPECT_EQ(post(std::string(100'000, 'a')).status, 413);
  EXPECT_EQ(registry.status("POST", "/v2/token"), 400);
}

TEST(Gate, AnonymousTokens) {
  Registry registry;
  EXPECT_EQ(registry.status("GET", "/v2/public/tags/list",
                            registry.token("", "repository:public:pull,push")),
            200);
  const std::string token = registry.token("", "repository:public:pull,push");
  const Response refusal = registry.send("POST", "/v2/public/blobs/uploads/", token);
  EXPECT_EQ(refusal.status, 401) << "whoever has not logged in may do so";
  EXPECT_EQ(registry.status("GET", "/v2/token?scope=repository:team/a:pull"), 401);
  registry.files.rules("ann * pull\n");
  EXPECT_EQ(registry.status("GET", "/v2/public/tags/list", token), 401);
  EXPECT_EQ(registry.status("GET", "/v2/token"), 401);
}

TEST(Gate, AnonymousPull) {
  Registry registry("");
  registry.files.options.anonymous_pull = true;
  EXPECT_EQ(registry.status("GET", "/v2/team/a/tags/list"), 200);
  EXPECT_EQ(registry.status("GET", "/v2/_catalog"), 200);
  EXPECT_EQ(registry.status("GET", "/v2/"), 401) << "else nobody would be asked to log in";
  EXPECT_EQ(registry.status("POST", "/v2/team/a/blobs/uploads/"), 401);
  EXPECT_EQ(registry.status("DELETE", "/v2/team/a/manifests/x"), 401);
  EXPECT_EQ(registry.status("POST", "/v2/team/a/blobs/uploads/", bob), 202);
  EXPECT_EQ(registry.status("DELETE", "/v2/team/a/manifests/x", bob), 404);
  EXPECT_EQ(
      registry.status("GET", "/v2/team/a/tags/list", registry.token("", "repository:team/a:pull")),
      200);
}

TEST(Gate, NothingOutlivesAChangeOfTheFiles) {
  Registry registry;
  const std::string path = "/v2/team/a/tags/list";
  const std::string token = registry.token(ann, "repository:team/a:pull,push,delete");
  EXPECT_EQ(registry.status("GET", path, token), 200);
  registry.files.rules("ann team/* push\n");
  EXPECT_EQ(registry.status("GET", path, token), 403) << "a right was taken away";
  EXPECT_EQ(registry.status("GET", path, ann), 403);
  registry.files.rules("ann team/* pull\n");
  EXPECT_EQ(registry.status("GET", path, token), 200);
  EXPECT_EQ(registry.status("DELETE", "/v2/team/a/manifests/x", token), 403);

  registry.files.users(bob_entry);
  EXPECT_EQ(registry.status("GET", path, token), 401) << "the user was removed";
  EXPECT_EQ(registry.status("GET", path, ann), 401);
  registry.files.users(new_ann_entry);
  EXPECT_EQ(registry.status("GET", path, token), 401) << "made with the old password";
  EXPECT_EQ(registry.status("GET", path, ann), 401);
  EXPECT_EQ(registry.status("GET", path, basic_of("ann", "new-secret")), 200);
  registry.files.users(both_users());
  EXPECT_EQ(registry.status("GET", path, token), 200);
}

TEST(Gate, FixedTokens) {
  Registry registry;
  const auto file = registry.files.directory.path() / "tokens";
  const std::string secret =
      test::unwrap(add_token(file, {.name = "ci", .rights = "pull,push", .patterns = {"team/*"}}));
  const std::string past =
      test::unwrap(add_token(file, {.name = "past", .patterns = {"*"}, .expires = 1'000'000'000}));
  const std::string form = "grant_type=password&username=any&password=" + secret;
  for (const std::string& who : std::vector<std::string>{
           "Bearer " + secret, basic_of("any", secret), basic_of("", secret),
           registry.token(basic_of("ci", secret), "repository:team/a:pull,push")}) {
    EXPECT_EQ(registry.status("GET", "/v2/", who), 200) << who;
    EXPECT_EQ(registry.status("GET", "/v2/team/a/tags/list", who), 200) << who;
    EXPECT_EQ(registry.status("POST", "/v2/team/a/blobs/uploads/", who), 202) << who;
    EXPECT_EQ(registry.status("DELETE", "/v2/team/a/manifests/x", who), 403) << who;
    EXPECT_EQ(registry.status("GET", "/v2/shared/tags/list", who), 403) << "is no user: " << who;
  }
  EXPECT_EQ(registry.store.owners.back(), "token:ci");
  for (const std::string& who :
       {"Bearer " + past, basic_of("any", past), "Bearer " + secret + "x"}) {
    EXPECT_EQ(registry.status("GET", "/v2/", who), 401) << who;
  }
  const std::string token = registry.token(basic_of("x", secret), "repository:team/a:pull");
  EXPECT_EQ(registry.status("GET", "/v2/team/a/tags/list", token), 200);
  registry.files.tokens("");
  EXPECT_EQ(registry.status("GET", "/v2/team/a/tags/list", token), 401);
  EXPECT_EQ(registry.status("GET", "/v2/", "Bearer " + secret), 401);
  ASSERT_TRUE(add_token(file, {.name = "ci", .patterns = {"team/*"}}));
  EXPECT_EQ(registry.status("GET", "/v2/team/a/tags/list", token), 401)
      << "of the secret that the name had before";
}

TEST(Gate, FilesMayChangeWhileRequestsAreAnswered) {
  Registry registry;
  const std::string token = registry.token(ann, "repository:team/a:pull");
  std::atomic<bool> is_over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!is_over) {
        for (const std::string& who : {token, ann}) {
          const Answer answer =
              registry.api->answer(make_request("GET", "/v2/team/a/tags/list", who));
          const int status = std::get<Response>(answer).status;
          EXPECT_TRUE(status == 200 || status == 403 || status == 429) << status;
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    registry.files.write("new", i % 2 == 0 ? "ann team/* pull\n" : "bob team/* pull\n");
    std::filesystem::rename(registry.files.directory.path() / "new", *registry.files.options.rules);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  is_over = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace fnimage::server
