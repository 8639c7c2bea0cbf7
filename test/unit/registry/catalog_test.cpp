// The catalog of a registry, whatever it answers.
#include <string>

#include <fnimage/registry/sync.hpp>

#include "scripted_repository.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// What a server answers to "/v2/_catalog".
class CatalogTest : public ::testing::Test {
 protected:
  void answers(std::function<test::Reply(const std::string& target)> answer) {
    repository_.server.otherwise([answer = std::move(answer)](const test::SeenRequest& request) {
      return request.target.starts_with("/v2/_catalog") ? answer(request.target) : test::Reply{};
    });
  }
  Result<std::vector<std::string>> names() {
    return repository_.client->repositories(repository_.server.address());
  }
  static test::Reply page(const std::string& names, const std::string& next = {}) {
    test::Reply reply{.body = R"({"repositories": [)" + names + "]}"};
    if (!next.empty()) {
      reply.headers.emplace_back("Link", "<" + next + ">; rel=\"next\"");
    }
    return reply;
  }
  ScriptedRepository repository_;
};

TEST_F(CatalogTest, ReadsAllPages) {
  answers([](const std::string& target) {
    return target.find("last=b") == std::string::npos
               ? page(R"("b", "a")", "/v2/_catalog?last=b&n=2")
               : page(R"("team/app", "a")");
  });
  EXPECT_THAT(unwrap(names()), ElementsAre("a", "b", "team/app"));
}

TEST_F(CatalogTest, WhatIsNoNameIsPassedOver) {
  const std::string huge(100'000, 'a');
  answers([&](const std::string&) {
    return page(
        R"("../../etc", "a/../b", "/a", "A", "a//b", "", "a\u0000b", 7, null, ["x"], "ok", ")" +
        huge + "\"");
  });
  EXPECT_THAT(unwrap(names()), ElementsAre("ok"));
  EXPECT_THAT(repository_.client.messages(), ElementsAre(HasSubstr("11 that are no names")));
}

TEST_F(CatalogTest, PagesWithoutEndAreAnError) {
  int count = 0;
  answers([&](const std::string&) {
    ++count;
    return page("\"a" + std::to_string(count) + "\"", "/v2/_catalog?n=" + std::to_string(count));
  });
  EXPECT_THAT(names(), fails_with(ErrorCode::protocol, HasSubstr("pages")));
}

TEST_F(CatalogTest, PagesInCirclesAreAnError) {
  answers([](const std::string&) { return page("\"a\"", "/v2/_catalog?n=1000"); });
  EXPECT_THAT(names(), fails_with(ErrorCode::protocol, HasSubstr("circles")));
}

TEST_F(CatalogTest, APageElsewhereIsAnError) {
  answers([](const std::string&) { return page("\"a\"", "http://127.0.0.2:1/v2/_catalog"); });
  EXPECT_THAT(names(), fails_with(ErrorCode::protocol, HasSubstr("elsewhere")));
}

TEST_F(CatalogTest, TooManyNamesAreAnError) {
  int count = 0;
  answers([&](const std::string&) {
    std::string many = "\"a\"";
    for (int i = 0; i < 10'000; ++i) {
      many += ",\"a" + std::to_string(i) + "\"";
    }
    return page(many, "/v2/_catalog?n=" + std::to_string(++count));
  });
  EXPECT_THAT(names(), fails_with(ErrorCode::protocol, HasSubstr("more than 200000 names")));
}

TEST_F(CatalogTest, NonsenseIsAnError) {
  const std::string huge(5U << 20U, ' ');
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("7"), huge}) {
    answers([&](const std::string&) { return test::Reply{.body = body}; });
    EXPECT_FALSE(names().has_value()) << body.substr(0, 20);
  }
  for (const std::string body : {"{}", R"({"repositories": null})", R"({"repositories": "a"})"}) {
    answers([&](const std::string&) { return test::Reply{.body = body}; });
    EXPECT_THAT(unwrap(names()), IsEmpty()) << body;
  }
}

TEST_F(CatalogTest, WithoutACatalogTheErrorSaysWhatToDo) {
  for (const auto& [status, code] :
       {std::pair(404, ErrorCode::unsupported), std::pair(405, ErrorCode::unsupported),
        std::pair(403, ErrorCode::unauthorized)}) {
    answers([status = status](const std::string&) { return test::Reply{.status = status}; });
    const auto result = names();
    ASSERT_THAT(result, fails_with(code));
    EXPECT_THAT(result.error().hint(), HasSubstr("name the repositories"));
  }
  EXPECT_THAT(repository_.client->repositories("a/b"), fails_with(ErrorCode::invalid_argument));
}

TEST_F(CatalogTest, ASetHasTheNamesBelowItsPrefix) {
  answers([](const std::string&) { return page(R"("mirror/a", "mirror/b/c", "mirrored", "x")"); });
  TestClient& client = repository_.client;
  const auto set =
      registry_repositories(*client.operator->(), repository_.server.address(), "mirror");
  EXPECT_THAT(unwrap(set->names()), ElementsAre("a", "b/c"));
  EXPECT_THAT(set->open("../x", RepositorySet::Mode::read),
              fails_with(ErrorCode::invalid_argument));
}

}  // namespace
}  // namespace fnimage::registry
