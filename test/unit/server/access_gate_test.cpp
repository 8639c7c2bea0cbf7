// Who may do what with the API, by name and password.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

#include "access_registry.hpp"

namespace fnimage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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
  EXPECT_EQ(mounted(token, ""), "") << "the token is not for that";
  const Response challenged = registry.send(
      "POST", "/v2/team/new/blobs/uploads/?mount=" + blob_digest + "&from=other/a", token);
  EXPECT_EQ(challenged.status, 401) << "another token would be";
  EXPECT_THAT(header_of(challenged, "WWW-Authenticate"),
              HasSubstr(R"(scope="repository:team/new:pull,push repository:other/a:pull")"));
  const std::string both =
      registry.token(ann, "repository:team/new:pull,push&scope=repository:other/a:pull");
  EXPECT_EQ(mounted(both, "&from=other/a"), "other/a");
  registry.files.rules("ann team/* pull,push\n");
  EXPECT_EQ(mounted(token, "&from=other/a"), "") << "no token would help";
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
