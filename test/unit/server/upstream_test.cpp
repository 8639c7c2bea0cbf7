// Upstreams whose registry is scripted: what is asked, how often, and what comes of all that can go
// wrong with it.
#include <algorithm>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "upstream_fixture.hpp"

namespace fnimage::server {
namespace {

using test::Reply;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Fault = test::Reply::Fault;
using Seen = test::SeenRequest;

const std::string large(std::size_t{300} << 10U, 'x');

Reply manifest_reply(const NewManifest& manifest) {
  return {.headers = {{"Content-Type", manifest.media_type},
                      {"Docker-Content-Digest", manifest.digest.str()}},
          .body = manifest.bytes};
}

TEST(PlacesTest, NamesThereAndHere) {
  const Places places({{"hub", "registry.example", ""},
                       {"hub/deep", "other.example:5000", "team"},
                       {"same", "registry.example", "team/x"}});
  const auto plain = places.of_name("hub/a/b");
  ASSERT_TRUE(plain);
  EXPECT_EQ("a/b", plain->remote);
  EXPECT_EQ(0U, plain->upstream);
  const auto nested = places.of_name("hub/deep/a");
  ASSERT_TRUE(nested);
  EXPECT_EQ("team/a", nested->remote);
  EXPECT_EQ(1U, nested->upstream);
  EXPECT_EQ("deep", places.of_name("hub/deep")->remote);
  EXPECT_FALSE(places.of_name("hub"));
  EXPECT_FALSE(places.of_name("hubble/a"));
  EXPECT_FALSE(places.of_name("a/hub/b"));
  EXPECT_EQ("hub/a", places.of_origin("registry.example", "a")->local);
  EXPECT_EQ("same/y", places.of_origin("Registry.Example", "team/x/y")->local);
  EXPECT_EQ("hub/deep/a", places.of_origin("other.example:5000", "team/a")->local);
  EXPECT_FALSE(places.of_origin("other.example:5000", "teams/a"));
  EXPECT_FALSE(places.of_origin("other.example", "team/a"));
}

TEST(PlacesTest, WhatPeopleWrite) {
  const auto whole = parse_upstream("site/hub=registry.example:5000/team/x");
  ASSERT_TRUE(whole);
  EXPECT_EQ("site/hub", whole->prefix);
  EXPECT_EQ("registry.example:5000", whole->registry);
  EXPECT_EQ("team/x", whole->path);
  EXPECT_EQ("", parse_upstream("hub=localhost")->path);
  EXPECT_EQ("[::1]:5000", parse_upstream("hub=[::1]:5000")->registry);
  for (const char* bad : {"", "hub", "=registry.example", "hub=", "hub=registry", "Hub=a.example",
                          "hub=a.example/", "hub=a.example/X", "hub=a.example/x/",
                          "hub=https://a.example", "hub=u:p@a.example", "hub=a.example:x"}) {
    EXPECT_FALSE(parse_upstream(bad)) << bad;
  }
}

TEST(RecentTest, TimesAndLimits) {
  Recent<int> recent(3);
  const std::chrono::milliseconds long_time(1'000'000);
  recent.set("a", 1, long_time);
  recent.set("b", 2, long_time);
  recent.set("over", 3, std::chrono::milliseconds(0));
  EXPECT_EQ(1, recent.find("a"));
  EXPECT_FALSE(recent.find("over"));
  recent.set("c", 4, long_time);
  EXPECT_EQ(1, recent.find("a"));
  EXPECT_FALSE(recent.find("over"));
  recent.set("d", 5, long_time, 2);
  EXPECT_FALSE(recent.find("b"));
  EXPECT_EQ(1, recent.find("a"));
  EXPECT_EQ(5, recent.find("d"));
  recent.set("too much", 6, long_time, 4);
  EXPECT_FALSE(recent.find("too much"));
  recent.set("a", 7, long_time);
  EXPECT_EQ(7, recent.find("a"));
  recent.forget("a");
  EXPECT_FALSE(recent.find("a"));
}

TEST(QuestionsTest, AskedOnceAnsweredToAll) {
  Questions<int> questions;
  std::vector<int> answers;
  const auto take = [&](int answer) { answers.push_back(answer); };
  EXPECT_TRUE(questions.ask("a", take));
  EXPECT_FALSE(questions.ask("a", take));
  EXPECT_TRUE(questions.ask("b", take));
  questions.answer("a", 1);
  questions.answer("a", 2);
  EXPECT_THAT(answers, ElementsAre(1, 1));
  EXPECT_TRUE(questions.ask("a", take));
}

TEST_F(UpstreamTest, TwoPrefixesAreTwoUpstreams) {
  options.upstreams = {{"hub", "a.example", ""}, {"hub", "b.example", ""}};
  const auto opened = PullThrough::open(options, store());
  ASSERT_FALSE(opened);
  EXPECT_EQ(ErrorCode::invalid_argument, opened.error().code());
}

TEST_F(UpstreamTest, ATagIsAskedAgainWhenItsAnswerIsOld) {
  const NewManifest first = image("first");
  const NewManifest second = image("second");
  std::atomic<bool> has_moved = false;
  upstream.otherwise([&](const Seen&) { return manifest_reply(has_moved ? second : first); });
  EXPECT_EQ(first.bytes, get("/v2/hub/app/manifests/v1").body());
  has_moved = true;
  EXPECT_EQ(first.bytes, get("/v2/hub/app/manifests/v1").body());
  EXPECT_THAT(upstream.lines(), ElementsAre("GET /v2/app/manifests/v1"));
  options.fresh = std::chrono::milliseconds(0);
  restart_cache();
  EXPECT_EQ(second.bytes, get("/v2/hub/app/manifests/v1").body());
  EXPECT_EQ(second.bytes, get("/v2/hub/app/manifests/v1").body());
  EXPECT_THAT(upstream.lines(), ElementsAre("GET /v2/app/manifests/v1", "HEAD /v2/app/manifests/v1",
                                            "GET /v2/app/manifests/" + second.digest.str(),
                                            "HEAD /v2/app/manifests/v1"));
  // What the tag stood for is still here.
  EXPECT_EQ(first.bytes, get("/v2/hub/app/manifests/" + first.digest.str()).body());
  EXPECT_EQ(4U, upstream.lines().size());
}

TEST_F(UpstreamTest, AFailureIsRememberedForAWhile) {
  const NewManifest manifest = image("it");
  options.fresh = std::chrono::milliseconds(0);
  options.failure_memory = std::chrono::milliseconds(1'000'000);
  restart_cache();
  upstream.otherwise([&](const Seen&) { return manifest_reply(manifest); });
  EXPECT_EQ("", get("/v2/hub/app/manifests/v1").header("Warning"));
  upstream.otherwise([&](const Seen&) { return Reply{.fault = Fault::drop}; });
  EXPECT_EQ("110 - \"response is stale\"", get("/v2/hub/app/manifests/v1").header("Warning"));
  const std::size_t asked = upstream.lines().size();
  EXPECT_EQ("110 - \"response is stale\"", get("/v2/hub/app/manifests/v1").header("Warning"));
  auto other = get("/v2/hub/app/manifests/v2");
  EXPECT_EQ(503, other.status());
  EXPECT_EQ("10", other.header("Retry-After"));
  EXPECT_EQ(503, get(blob_path("x")).status());
  EXPECT_EQ(503, ask("HEAD", blob_path("x")).status());
  EXPECT_EQ(asked, upstream.lines().size());
  EXPECT_THAT(warnings(), SizeIs(1));
  options.failure_memory = std::chrono::milliseconds(0);
  restart_cache();
  upstream.otherwise([&](const Seen&) { return manifest_reply(manifest); });
  EXPECT_EQ("", get("/v2/hub/app/manifests/v1").header("Warning"));
}

TEST_F(UpstreamTest, AFailureOfOneThingIsNotThatOfAll) {
  const NewManifest manifest = image("it");
  upstream.otherwise([&](const Seen& request) {
    return request.target.find("broken") == std::string::npos ? manifest_reply(manifest)
                                                              : Reply{.status = 500};
  });
  EXPECT_EQ(503, get("/v2/hub/app/manifests/broken").status());
  EXPECT_EQ(200, get("/v2/hub/app/manifests/v1").status());
}

TEST_F(UpstreamTest, ASilentUpstreamIsGivenUp) {
  options.stall_time = std::chrono::seconds(1);
  options.client.retry.attempts = 1;
  restart_cache();
  upstream.otherwise([&](const Seen& request) {
    if (request.target.ends_with("/v1")) {
      return Reply{.body = "x", .fault = Fault::stall_head};
    }
    return request.header("Range")
               ? Reply{.fault = Fault::drop}
               : Reply{.body = large, .fault = Fault::stall, .cut_after = large.size() / 2};
  });
  auto blob = get(blob_path(large));
  auto manifest = get("/v2/hub/app/manifests/v1");
  EXPECT_EQ(200, blob.status());
  EXPECT_EQ(std::nullopt, blob.body());
  EXPECT_EQ(503, manifest.status());
}

TEST_F(UpstreamTest, StopsInTheMiddle) {
  upstream.otherwise([&](const Seen& request) {
    return request.target.ends_with("/v1")
               ? Reply{.body = "x", .fault = Fault::stall_head}
               : Reply{.body = large, .fault = Fault::stall, .cut_after = large.size() / 2};
  });
  auto blob = get(blob_path(large));
  auto manifest = get("/v2/hub/app/manifests/v1");
  EXPECT_EQ(200, blob.status());
  stop_cache();
  EXPECT_EQ(std::nullopt, blob.body());
  EXPECT_EQ(503, manifest.status());
  EXPECT_FALSE(has_uploads());
}

TEST_F(UpstreamTest, OneFetchForAllWhoWait) {
  upstream.otherwise([&](const Seen&) { return Reply{.body = large}; });
  std::vector<Pending> replies;
  replies.reserve(50);
  for (int i = 0; i < 50; ++i) {
    replies.push_back(get(blob_path(large)));
  }
  for (auto& reply : replies) {
    EXPECT_TRUE(reply.body() == large);
  }
  EXPECT_EQ(1U, upstream.lines().size());
  EXPECT_TRUE(get(blob_path(large)).body() == large);
  EXPECT_EQ(1U, upstream.lines().size());
}

TEST_F(UpstreamTest, WhatNobodyWantsIsGivenUp) {
  options.abandoned = std::chrono::milliseconds(0);
  restart_cache();
  upstream.otherwise([&](const Seen&) { return Reply{.body = large, .fault = Fault::drip_body}; });
  // Bytes come by tens a second: it would take hours.
  auto leaving = get(blob_path(large));
  EXPECT_EQ(200, leaving.status());
  leaving.leave();
  while (has_uploads()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  upstream.otherwise([&](const Seen&) { return Reply{.body = large}; });
  EXPECT_TRUE(get(blob_path(large)).body() == large);
}

TEST_F(UpstreamTest, WrongBytesAreNeverKept) {
  std::string wrong = large;
  wrong.back() = 'y';
  upstream.otherwise([&](const Seen& request) {
    return Reply{.body = request.target.ends_with(manifest::Digest::of("s").hex()) ? "t" : wrong};
  });
  EXPECT_EQ(std::nullopt, get(blob_path(large)).body());
  EXPECT_EQ(502, get(blob_path("s")).status());
  EXPECT_FALSE(has_uploads());
  EXPECT_FALSE(std::filesystem::exists(path() / "hub"));
  EXPECT_THAT(warnings(), Contains(HasSubstr("digest")));
  upstream.otherwise([&](const Seen&) { return Reply{.body = large}; });
  EXPECT_TRUE(get(blob_path(large)).body() == large);
}

TEST_F(UpstreamTest, SizesThatAreNotToldOrWrong) {
  const auto chunked = [](const std::string& text) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
           fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", text.size(), text);
  };
  upstream.otherwise([&](const Seen&) { return Reply{.raw = chunked(large)}; });
  EXPECT_TRUE(get(blob_path(large)).body() == large);
  EXPECT_EQ(502, ask("HEAD", blob_path("x")).status());
  upstream.otherwise([&](const Seen&) { return Reply{.body = ""}; });
  EXPECT_EQ(502, get(blob_path("x")).status());
  EXPECT_EQ("", get(blob_path("")).body());
}

TEST_F(UpstreamTest, RefusalsTellNothing) {
  options.credentials = [&]() -> Result<std::shared_ptr<const registry::CredentialStore>> {
    return std::shared_ptr<const registry::CredentialStore>(registry::fixed_credentials(
        upstream.address(), {.username = "ann", .password = "secret", .source = "FILE"}));
  };
  restart_cache();
  upstream.otherwise([&](const Seen&) {
    return Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
  });
  for (const std::string path : {"manifests/v1", "tags/list", "blobs/"}) {
    auto reply =
        get("/v2/hub/app/" + (path == "blobs/" ? path + manifest::Digest::of("x").str() : path));
    EXPECT_EQ(404, reply.status()) << path;
    EXPECT_THAT(*reply.body(), HasSubstr("DENIED"));
    for (const char* secret : {"ann", "secret", "FILE", "Basic"}) {
      EXPECT_THAT(*reply.body(), Not(HasSubstr(secret)));
    }
  }
  for (const std::string& warning : warnings()) {
    EXPECT_THAT(warning, Not(HasSubstr("secret")));
  }
}

TEST_F(UpstreamTest, ManyRepositoriesDoNotFillTheMemoryOfCredentials) {
  std::atomic<int> asked = 0;
  options.credentials = [&]() -> Result<std::shared_ptr<const registry::CredentialStore>> {
    ++asked;
    return std::shared_ptr<const registry::CredentialStore>(registry::chained_credentials({}));
  };
  restart_cache();
  upstream.otherwise([&](const Seen&) { return Reply{.status = 404}; });
  for (int i = 0; i < 2100; ++i) {
    EXPECT_EQ(404, get(fmt::format("/v2/hub/r{}/manifests/v1", i)).status());
  }
  EXPECT_EQ(4, asked);  // at the start, and for each thousand
}

TEST_F(UpstreamTest, WhatAFormerProcessLeftGoes) {
  const auto left = test::unwrap(store().begin_upload("hub/app", "upstream"));
  const auto others = test::unwrap(store().begin_upload("app", "user:ann"));
  restart_cache();
  EXPECT_FALSE(test::unwrap(store().find_upload(left->id(), "hub/app", "upstream")));
  EXPECT_TRUE(test::unwrap(store().find_upload(others->id(), "app", "user:ann")));
}

TEST_F(UpstreamTest, OwnRepositoriesAreNotAskedFor) {
  EXPECT_EQ(404, get("/v2/own/manifests/v1").status());
  EXPECT_EQ(404, get("/v2/hub/manifests/v1").status());
  EXPECT_EQ(404, get("/v2/own/manifests/v1?ns=other.example").status());
  EXPECT_EQ(200, get("/v2/?ns=other.example").status());
  EXPECT_THAT(upstream.lines(), IsEmpty());
}

}  // namespace
}  // namespace fnimage::server
