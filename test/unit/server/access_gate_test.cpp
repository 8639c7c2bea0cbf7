// Who may do what with the API: logging in, tokens, rights, and files that change meanwhile.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/test/result_matchers.hpp>

#include "access/gate.hpp"
#include "access_fake_store.hpp"
#include "access_fixture.hpp"
#include "api/api.hpp"

namespace fnimage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string blob_digest = "sha256:" + std::string(64, 'b');

/// A registry with two teams and something public, and files about access that can be changed.
class Registry {
 public:
  explicit Registry(std::string_view rules =
                        "ann team/* pull,push,delete\n"
                        "bob other/* pull,push\n"
                        "* shared pull\n"
                        "anonymous public pull\n") {
    files.users(both_users());
    if (!rules.empty()) {
      files.rules(rules);
    }
    files.tokens("");
    for (const char* name : {"team/a", "other/a", "shared", "public"}) {
      store.add(name, *manifest::Digest::parse(blob_digest));
    }
  }

  Response send(const Request& request) {
    if (!api) {
      gate = test::unwrap(Gate::open(files.options, std::chrono::milliseconds(0)));
      api.emplace(store, ApiOptions{}, gate.get());
    }
    return response_of(api->answer(request), body);
  }
  Response send(const std::string& method, const std::string& path,
                const std::string& authorization = {}) {
    return send(make_request(method, path, authorization));
  }
  int status(const std::string& method, const std::string& path,
             const std::string& authorization = {}) {
    return send(method, path, authorization).status;
  }
  /// Bearer and a token for these scopes, asked for by GET.
  std::string token(const std::string& authorization, const std::string& scope) {
    const Response response = send("GET", "/v2/token?service=x&scope=" + scope, authorization);
    EXPECT_EQ(response.status, 200) << scope;
    return response.status == 200 ? "Bearer " + json_of(response)["token"].get<std::string>() : "";
  }
  static nlohmann::json json_of(const Response& response) {
    return nlohmann::json::parse(std::get<std::string>(response.body));
  }

  AccessFiles files{};
  FakeStore store{};
  std::unique_ptr<Gate> gate{};
  std::optional<Api> api{};
  std::string body{};  ///< of the next requests

 private:
  static Response response_of(Answer answer, const std::string& content) {
    if (auto* response = std::get_if<Response>(&answer)) {
      return std::move(*response);
    }
    auto& receiver = *std::get<std::unique_ptr<BodyReceiver>>(answer);
    auto early = receiver.write(as_bytes(content));
    return early ? std::move(*early) : receiver.end();
  }
};

const std::string ann = basic_of("ann", "ann-secret");
const std::string bob = basic_of("bob", "bob-secret");

TEST(Gate, WithoutOptionsEverythingIsAllowed) {
  FakeStore store;
  Api api(store, {});
  const Answer answer = api.answer(make_request("POST", "/v2/a/blobs/uploads/"));
  EXPECT_EQ(std::get<Response>(answer).status, 202);
  EXPECT_THAT(store.owners, ElementsAre(""));
  EXPECT_EQ(std::get<Response>(api.answer(make_request("GET", "/v2/token"))).status, 404);
}

TEST(Gate, NeedsSomebodyWhoMayLogIn) {
  AccessFiles files;
  files.rules("anonymous * pull\n");
  EXPECT_THAT(Gate::open(files.options), test::fails_with(ErrorCode::invalid_argument));
  files.users("ann:plain");
  EXPECT_THAT(Gate::open(files.options), test::fails_with(ErrorCode::invalid_input));
  files.users(both_users());
  EXPECT_THAT(Gate::open(files.options), test::is_ok());
  files.options.external_url = "registry";
  EXPECT_THAT(Gate::open(files.options), test::fails_with(ErrorCode::invalid_argument));
}

TEST(Gate, Basic) {
  Registry registry;
  const Response refusal = registry.send("GET", "/v2/");
  EXPECT_EQ(refusal.status, 401);
  EXPECT_THAT(header_of(refusal, "WWW-Authenticate"),
              StartsWith(R"(Bearer realm="http://registry.test:5000/v2/token",service=)"));
  EXPECT_EQ(header_of(refusal, "Docker-Distribution-API-Version"), "registry/2.0");
  EXPECT_EQ(Registry::json_of(refusal)["errors"][0]["code"], "UNAUTHORIZED");
  EXPECT_EQ(registry.status("GET", "/v2/", ann), 200);
  EXPECT_EQ(registry.status("GET", "/v2/", bob), 200);
  for (const std::string& bad : std::vector<std::string>{
           basic_of("ann", "bob-secret"), basic_of("ann", ""), basic_of("eve", "ann-secret"),
           basic_of("", ""), basic_of("ann", "ann-secret "), "Basic", "Basic ?",
           "Basic " + to_base64(as_bytes("ann")), "Bearer", "Bearer x", "Bearer x.y", "Digest x",
           ann + "x"}) {
    EXPECT_EQ(registry.status("GET", "/v2/", bad), 401) << bad;
    EXPECT_EQ(registry.status("GET", "/v2/public/tags/list", bad), 401)
        << "bad credentials are not none: " << bad;
    EXPECT_EQ(registry.status("GET", "/v2/token", bad), 401) << bad;
  }
  Request twice = make_request("GET", "/v2/", ann);
  twice.headers.push_back({"Authorization", bob});
  EXPECT_EQ(registry.send(twice).status, 401);
}

TEST(Gate, RightsOfEachRequest) {
  Registry registry;
  struct Case {
    const char* method;
    std::string below;
    int allowed;  ///< the status for who may
  };
  const std::string digest = blob_digest;
  for (const Case& one : std::vector<Case>{
           {"GET", "tags/list", 200},
           {"GET", "blobs/" + digest, 404},
           {"HEAD", "manifests/none", 404},
           {"GET", "referrers/" + digest, 200},
           {"POST", "blobs/uploads/", 202},
           {"GET", "blobs/uploads/none", 404},
           {"DELETE", "blobs/uploads/none", 404},
           {"DELETE", "manifests/none", 404},
       }) {
    const std::string path = "/v2/team/a/" + one.below;
    EXPECT_EQ(registry.status(one.method, path, ann), one.allowed) << path;
    EXPECT_EQ(registry.status(one.method, path, bob), 403) << path;
    EXPECT_EQ(registry.status(one.method, path), 401) << path;
    // Nothing tells a repository that is there from one that is not.
    EXPECT_EQ(registry.status(one.method, "/v2/team/none/" + one.below, bob), 403) << path;
    EXPECT_EQ(registry.status(one.method, "/v2/team/none/" + one.below), 401) << path;
  }
  EXPECT_EQ(registry.status("DELETE", "/v2/other/a/manifests/none", bob), 403) << "may not delete";
  EXPECT_EQ(registry.status("DELETE", "/v2/other/a/blobs/" + digest, bob), 403);
  EXPECT_EQ(registry.status("DELETE", "/v2/other/a/blobs/uploads/none", bob), 404) << "is a push";
  EXPECT_EQ(registry.status("GET", "/v2/shared/tags/list", bob), 200);
  EXPECT_EQ(registry.status("PUT", "/v2/shared/manifests/x", bob), 403);
  EXPECT_EQ(registry.status("GET", "/v2/shared/tags/list"), 401);
  EXPECT_EQ(registry.status("GET", "/v2/public/tags/list"), 200);
  EXPECT_EQ(registry.status("POST", "/v2/public/blobs/uploads/"), 401);
  EXPECT_EQ(registry.status("POST", "/v2/public/blobs/uploads/", ann), 403);
  const Response denied = registry.send("PUT", "/v2/shared/manifests/x", bob);
  EXPECT_EQ(Registry::json_of(denied)["errors"][0]["code"], "DENIED");
  EXPECT_THAT(Registry::json_of(denied)["errors"][0]["message"], HasSubstr("bob may not push"));
  EXPECT_EQ(header_of(denied, "WWW-Authenticate"), "");
  EXPECT_EQ(registry.status("GET", "/v2/team%22x/tags/list"), 400);
}

TEST(Gate, MountsOnlyWhatMayBePulled) {
  Registry registry;
  const auto mounted = [&](const std::string& who, const std::string& query) {
    registry.store.mounts.clear();
    const int status =
        registry.status("POST", "/v2/team/new/blobs/uploads/?mount=" + blob_digest + query, who);
    EXPECT_EQ(status, registry.store.mounts.empty() ? 202 : 201) << query;
    return registry.store.mounts.empty() ? "" : registry.store.mounts.back();
  };
  EXPECT_EQ(mounted(ann, "&from=team/a"), "team/a");
  EXPECT_EQ(mounted(ann, "&from=shared"), "shared");
  EXPECT_EQ(mounted(ann, "&from=other/a"), "") << "what may not be pulled";
  EXPECT_EQ(mounted(ann, ""), "public") << "the first that may be pulled, not other/a";
  registry.files.rules("ann team/new pull,push\n");
  EXPECT_EQ(mounted(ann, ""), "");
  registry.files.rules("ann * pull,push\n");
  const std::string token = registry.token(ann, "repository:team/new:pull,push");
  EXPECT_EQ(mounted(token, "&from=other/a"), "") << "the token is not for that";
  EXPECT_EQ(mounted(token, ""), "");
  const std::string both =
      registry.token(ann, "repository:team/new:pull,push&scope=repository:other/a:pull");
  EXPECT_EQ(mounted(both, "&from=other/a"), "other/a");
}

TEST(Gate, CatalogHasWhatMayBePulled) {
  Registry registry;
  const auto names = [&](const std::string& who) {
    const Response response = registry.send("GET", "/v2/_catalog", who);
    EXPECT_EQ(response.status, 200);
    return Registry::json_of(response)["repositories"].get<std::vector<std::string>>();
  };
  EXPECT_THAT(names(ann), ElementsAre("public", "shared", "team/a"));
  EXPECT_THAT(names(bob), ElementsAre("other/a", "public", "shared"));
  const Response refusal = registry.send("GET", "/v2/_catalog");
  EXPECT_EQ(refusal.status, 401);
  EXPECT_THAT(header_of(refusal, "WWW-Authenticate"), HasSubstr(R"(scope="registry:catalog:*")"));
  EXPECT_THAT(names(registry.token("", "registry:catalog:*")), ElementsAre("public"));
  EXPECT_THAT(names(registry.token(bob, "registry:catalog:*")),
              ElementsAre("other/a", "public", "shared"));
  EXPECT_EQ(registry.status("GET", "/v2/_catalog", registry.token(bob, "repository:other/a:pull")),
            401);
  registry.files.rules("anonymous * pull\n");
  EXPECT_THAT(names(""), ElementsAre("other/a", "public", "shared", "team/a"));
}

TEST(Gate, UploadsBelongToWhoBeganThem) {
  Registry registry;
  registry.files.rules("* team/* push,pull\nanonymous drop push\n");
  registry.files.tokens("ci " + std::string(64, 'a') + " push team/*\n");
  EXPECT_EQ(registry.status("POST", "/v2/team/a/blobs/uploads/", ann), 202);
  EXPECT_EQ(registry.status("POST", "/v2/team/a/blobs/uploads/",
                            registry.token(bob, "repository:team/a:push")),
            202);
  EXPECT_EQ(registry.status("POST", "/v2/drop/blobs/uploads/"), 202);
  EXPECT_THAT(registry.store.owners, ElementsAre("user:ann", "user:bob", "anonymous"));
  registry.store.owners.clear();
  EXPECT_EQ(registry.status("GET", "/v2/team/a/blobs/uploads/x", ann), 404);
  EXPECT_EQ(registry.status("DELETE", "/v2/team/a/blobs/uploads/x", bob), 404);
  EXPECT_THAT(registry.store.owners, ElementsAre("user:ann", "user:bob"));
}

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

TEST(Gate, WhatIsSlowIsNotDoneOnIoThreads) {
  Registry registry;
  registry.status("GET", "/v2/");
  const auto is_quick = [&](const std::string& path, const std::string& authorization) {
    return registry.api->is_quick(make_request("GET", path, authorization));
  };
  EXPECT_TRUE(is_quick("/v2/", ""));
  EXPECT_TRUE(is_quick("/v2/team/a/tags/list", "Bearer x"));
  for (const char* path : {"/v2/", "/v2/token", "/v2/team/a/tags/list", "/nothing"}) {
    EXPECT_FALSE(is_quick(path, ann)) << path;
    EXPECT_FALSE(is_quick(path, "bAsIc x")) << path;
  }
}

}  // namespace
}  // namespace fnimage::server
