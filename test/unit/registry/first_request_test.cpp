// What a client learns from its first request: nothing is asked before it, and its answer tells
// what the registry wants. Registries that hide from strangers what they have are asked at /v2/
// once.
#include <algorithm>
#include <atomic>
#include <thread>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/memory_registry.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "sample_image.hpp"
#include "scripted_repository.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::string_view bobs_basic = "Basic Ym9iOnNlY3JldA==";
const std::string question = "GET /v2/";
const std::string tags_of_a = "GET /v2/a/tags/list?n=1000";
const std::string tags_of_b = "GET /v2/b/tags/list?n=1000";

std::shared_ptr<const CredentialStore> bob(const std::string& registry) {
  return fixed_credentials(registry, {.username = "bob", .password = "secret"});
}

Reply basic_challenge() {
  return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
}

/// A registry that shows strangers nothing, and tells only at /v2/ what it wants.
struct HidingRegistry {
  explicit HidingRegistry(int status = 404) : hidden(status) {
    server.otherwise([this](const SeenRequest& request) -> Reply {
      if (request.header("authorization") == bobs_basic) {
        return {.body = R"({"tags":["t"]})"};
      }
      return request.target == "/v2/" ? basic_challenge() : Reply{.status = hidden};
    });
  }
  std::unique_ptr<ImageStore> repository(const std::string& name) {
    return client.repository(server.address() + "/" + name);
  }
  const int hidden;
  ScriptedServer server;
  TestClient client{{.plain_http = true}, bob(server.address())};
};

TEST(FirstRequest, IsNotTheQuestionForTheVersion) {
  MemoryRegistry registry;
  const auto from = make_memory_store("mem");
  const manifest::Document list = test::put_list(*from, "v1");
  for (const auto& credentials : {std::shared_ptr<const CredentialStore>(), bob("other.example")}) {
    TestClient client({.plain_http = true}, credentials);
    const auto store = client.repository(registry.address() + "/a");
    unwrap(transfer(*from, "v1", *store, {.tags = {"v1"}}, null_diagnostics()));
    const auto target = make_memory_store("mem");
    unwrap(transfer(*store, "v1", *target, {.tags = {"v1"}}, null_diagnostics()));
    EXPECT_EQ(unwrap(target->get_manifest("v1")).bytes(), list.bytes());
  }
  EXPECT_EQ(std::ranges::count(registry.server().lines(), question), 0);
  EXPECT_GT(registry.server().lines().size(), 10U);
}

TEST(FirstRequest, GoesByHttpsAtOnce) {
  const auto transport =
      std::make_shared<PlayedTransport>([](const HttpRequest&) -> Result<HttpResponse> {
        return HttpResponse{.status = 200, .body = R"({"tags":["t"]})"};
      });
  RecordingDiagnostics diagnostics;
  Client client(transport, {}, {}, diagnostics);
  const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
  EXPECT_THAT(unwrap(store->tags()), ElementsAre("t"));
  ASSERT_THAT(transport->asked(), SizeIs(1));
  EXPECT_EQ(transport->asked()[0].url, "https://r.example/v2/a/tags/list?n=1000");
}

TEST(FirstRequest, WithoutCredentialsNotFoundIsNotFound) {
  for (const std::string known : {"", "other.example"}) {
    ScriptedServer server([](const SeenRequest&) { return Reply{.status = 404}; });
    TestClient client({.plain_http = true},
                      known.empty() ? std::shared_ptr<const CredentialStore>() : bob(known));
    EXPECT_THAT(client.repository(server.address() + "/a")->tags(),
                fails_with(ErrorCode::not_found));
    EXPECT_THAT(server.lines(), ElementsAre(tags_of_a));
  }
}

TEST(FirstRequest, ThatFindsNothingWithCredentialsAsksWhatIsWantedOnce) {
  for (const int hidden : {404, 403}) {
    HidingRegistry registry(hidden);
    EXPECT_THAT(unwrap(registry.repository("a")->tags()), ElementsAre("t"));
    EXPECT_THAT(unwrap(registry.repository("b")->tags()), ElementsAre("t"));
    EXPECT_THAT(registry.server.lines(), ElementsAre(tags_of_a, question, tags_of_a, tags_of_b));
    const auto seen = registry.server.requests();
    EXPECT_EQ(seen[0].header("authorization"), std::nullopt);
    EXPECT_EQ(seen[1].header("authorization"), std::nullopt);
    EXPECT_EQ(seen[2].header("authorization"), bobs_basic);
    EXPECT_EQ(seen[3].header("authorization"), bobs_basic);
  }
}

TEST(FirstRequest, IsSentAgainWithItsBody) {
  HidingRegistry registry;
  const std::string bytes = "some bytes";
  registry.server.otherwise([&](const SeenRequest& request) -> Reply {
    if (request.header("authorization") != bobs_basic) {
      return request.target == "/v2/" ? basic_challenge() : Reply{.status = 404};
    }
    return {.status = 201};
  });
  const manifest::Document image = image_of("{}", {});
  EXPECT_THAT(registry.repository("a")->put_manifest(image, "t"), is_ok());
  EXPECT_THAT(registry.server.lines(),
              ElementsAre("PUT /v2/a/manifests/t", question, "PUT /v2/a/manifests/t"));
  EXPECT_EQ(registry.server.requests().back().body, image.bytes());
}

TEST(FirstRequest, RegistryThatWantsNothingIsNotAskedAgain) {
  for (const int open : {200, 404}) {
    ScriptedServer server([&](const SeenRequest& request) {
      return Reply{.status = request.target == "/v2/" ? open : 404};
    });
    TestClient client({.plain_http = true}, bob(server.address()));
    for (const char* name : {"/a", "/b"}) {
      EXPECT_THAT(client.repository(server.address() + name)->tags(),
                  fails_with(ErrorCode::not_found));
    }
    EXPECT_THAT(server.lines(), ElementsAre(tags_of_a, question, tags_of_b));
  }
}

TEST(FirstRequest, WhatTheCredentialsDoNotOpenIsAskedForTwiceAtMost) {
  HidingRegistry registry;
  registry.server.otherwise([](const SeenRequest& request) {
    return request.target == "/v2/" ? basic_challenge() : Reply{.status = 404};
  });
  EXPECT_THAT(registry.repository("a")->tags(), fails_with(ErrorCode::not_found));
  EXPECT_THAT(registry.repository("b")->tags(), fails_with(ErrorCode::not_found));
  EXPECT_THAT(registry.server.lines(), ElementsAre(tags_of_a, question, tags_of_a, tags_of_b));
}

TEST(FirstRequest, SeveralAtOnceAskOneQuestion) {
  constexpr int at_once = 6;
  HidingRegistry registry;
  std::atomic<int> strangers = 0;
  registry.server.otherwise([&](const SeenRequest& request) -> Reply {
    if (request.header("authorization") == bobs_basic) {
      return {.body = R"({"tags":["t"]})"};
    }
    if (request.target == "/v2/") {
      return basic_challenge();
    }
    ++strangers;
    strangers.notify_all();
    for (int now = strangers; now < at_once; now = strangers) {
      strangers.wait(now);  // nobody knows anything before all have asked
    }
    return {.status = 404};
  });
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < at_once; ++i) {
      threads.emplace_back([&registry, i] {
        const auto store = registry.repository(std::string(1, static_cast<char>('a' + i)));
        EXPECT_THAT(unwrap(store->tags()), ElementsAre("t"));
      });
    }
  }
  EXPECT_EQ(strangers, at_once);
  EXPECT_EQ(std::ranges::count(registry.server.lines(), question), 1);
  EXPECT_THAT(registry.server.lines(), SizeIs(2 * at_once + 1));
}

TEST(FirstRequest, QuestionThatMeetsTroubleIsAskedAgain) {
  using How = Reply::Fault;
  for (const Reply& trouble : {Reply{.status = 503}, Reply{.fault = How::reset},
                               Reply{.status = 429, .headers = {{"Retry-After", "0"}}}}) {
    HidingRegistry registry;
    registry.server.expect(tags_of_a, {.status = 404}).expect(question, trouble);
    if (trouble.fault == How::reset) {  // the connection was kept alive: it is tried anew first
      registry.server.expect(question, trouble);
    }
    EXPECT_THAT(unwrap(registry.repository("a")->tags()), ElementsAre("t"));
    EXPECT_THAT(registry.server.problems(), IsEmpty());
    EXPECT_EQ(registry.server.lines().back(), tags_of_a);
  }
}

TEST(FirstRequest, QuestionWithoutAnAnswerIsNotNotFound) {
  HidingRegistry registry;
  std::atomic<bool> broken = true;
  registry.server.otherwise([&](const SeenRequest& request) -> Reply {
    if (request.header("authorization") == bobs_basic) {
      return {.body = R"({"tags":["t"]})"};
    }
    if (request.target != "/v2/") {
      return {.status = 404};
    }
    return broken ? Reply{.status = 503} : basic_challenge();
  });
  const auto store = registry.repository("a");
  EXPECT_THAT(store->tags(), fails_with(ErrorCode::unavailable, HasSubstr("/v2/")));
  EXPECT_EQ(std::ranges::count(registry.server.lines(), question), 5);
  broken = false;
  EXPECT_THAT(unwrap(store->tags()), ElementsAre("t"));
}

TEST(FirstRequest, ChallengeBringsATokenAndTheSameBodyAgain) {
  ScriptedServer auth;
  auth.expect("GET /token?service=reg&scope=repository%3Aa%3Apull%2Cpush",
              {.body = R"({"token":"T1"})"});
  const Reply challenge{.status = 401,
                        .headers = {{"WWW-Authenticate", "Bearer realm=\"" + auth.url("/token") +
                                                             "\",service=\"reg\""}}};
  ScriptedServer server;
  server.expect("PUT /v2/a/manifests/t", challenge)
      .expect("PUT /v2/a/manifests/t", {.status = 201});
  TestClient client({.plain_http = true}, bob(server.address()));
  const manifest::Document image = image_of("{}", {});
  EXPECT_THAT(client.repository(server.address() + "/a")->put_manifest(image, "t"), is_ok());
  EXPECT_THAT(server.problems(), IsEmpty());
  EXPECT_THAT(auth.problems(), IsEmpty());
  const auto seen = server.requests();
  EXPECT_EQ(seen.at(0).header("authorization"), std::nullopt);
  EXPECT_EQ(seen.at(1).header("authorization"), "Bearer T1");
  EXPECT_EQ(seen.at(1).body, image.bytes());
}

// --- which protocol ---

/// Speaks http, or both; wants bob's password.
struct PlayedProtocols {
  explicit PlayedProtocols(bool https)
      : transport(std::make_shared<PlayedTransport>(
            [https](const HttpRequest& request) -> Result<HttpResponse> {
              if (!https && request.url.starts_with("https:")) {
                return fail(ErrorCode::tls, "r.example:443 speaks something else");
              }
              if (HttpResponse{.headers = request.headers}.header("Authorization") == bobs_basic) {
                return HttpResponse{.status = 200, .body = R"({"tags":["t"]})"};
              }
              return HttpResponse{.status = 401,
                                  .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
            })) {}
  [[nodiscard]] std::vector<std::string> urls() const {
    std::vector<std::string> urls;
    for (const HttpRequest& request : transport->asked()) {
      urls.push_back(request.url);
    }
    return urls;
  }
  std::shared_ptr<PlayedTransport> transport;
  RecordingDiagnostics diagnostics;
  Client client{transport, bob("r.example"), {.insecure = true}, diagnostics};
};

std::vector<std::string> tags_at(PlayedProtocols& registry, const std::string& name) {
  const auto reference = unwrap(manifest::Reference::parse("r.example/" + name));
  return unwrap(unwrap(registry.client.repository(reference))->tags());
}

TEST(InsecureRegistry, HttpsIsTriedAndThenHttpOnceForAll) {
  PlayedProtocols registry(false);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { EXPECT_THAT(tags_at(registry, "a"), ElementsAre("t")); });
    }
  }
  EXPECT_THAT(tags_at(registry, "b"), ElementsAre("t"));
  const std::vector<std::string> urls = registry.urls();
  ASSERT_THAT(urls, SizeIs(2 + 4 + 1)) << "the question's challenge is known to those who wait";
  EXPECT_EQ(urls[0], "https://r.example/v2/");
  EXPECT_EQ(urls[1], "http://r.example/v2/");
  for (std::size_t i = 2; i < urls.size(); ++i) {
    EXPECT_THAT(urls[i], AllOf(HasSubstr("http://r.example/v2/"), HasSubstr("/tags/list")));
  }
  EXPECT_THAT(registry.diagnostics.messages(), ElementsAre(HasSubstr("reached by plain http")));
}

TEST(InsecureRegistry, HttpsThatAnswersIsKept) {
  PlayedProtocols registry(true);
  EXPECT_THAT(tags_at(registry, "a"), ElementsAre("t"));
  EXPECT_THAT(registry.urls(),
              ElementsAre("https://r.example/v2/", "https://r.example/v2/a/tags/list?n=1000"));
  EXPECT_FALSE(registry.transport->asked().back().tls.verify);
}

TEST(PlainHttp, RegistryThatSpeaksHttpsSaysSoToEveryFirstRequest) {
  const std::string bytes = "some bytes";
  const auto blob = blob_of(bytes);
  const manifest::Document image = image_of("{}", {});
  using Ask = std::function<std::optional<Error>(ImageStore&)>;
  const auto error_of = [](const auto& result) {
    return result ? std::nullopt : std::optional(result.error());
  };
  const std::vector<std::pair<std::string, Ask>> questions{
      {"tags", [&](ImageStore& store) { return error_of(store.tags()); }},
      {"resolve", [&](ImageStore& store) { return error_of(store.resolve("t")); }},
      {"get", [&](ImageStore& store) { return error_of(store.get_manifest("t")); }},
      {"put", [&](ImageStore& store) { return error_of(store.put_manifest(image, "t")); }},
      {"has", [&](ImageStore& store) { return error_of(store.has_blob(blob)); }},
      {"read",
       [&](ImageStore& store) {
         return error_of(read_all(*unwrap(unwrap(store.blob(blob))->open()), bytes.size()));
       }},
      {"upload",
       [&](ImageStore& store) {
         return error_of(store.put_blob(blob, *memory_content(bytes), {}));
       }},
      {"upload of what is new", [&](ImageStore& store) {
         return error_of(store.put_blob(blob, *memory_content(bytes), {.probably_new = true}));
       }}};
  for (const auto& [name, ask] : questions) {
    ScriptedRepository f([](const SeenRequest&) {
      return Reply{.raw =
                       "HTTP/1.0 400 Bad Request\r\n\r\n"
                       "Client sent an HTTP request to an HTTPS server.\n"};
    });
    const auto error = ask(*f.store);
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->code(), ErrorCode::tls) << name << ": " << error->describe();
    EXPECT_THAT(error->describe(), HasSubstr("speaks https, not http")) << name;
    EXPECT_THAT(error->hint(), HasSubstr("leave out --plain-http")) << name;
  }
}

TEST(PlainHttp, IsNoWayOutWhereHttpsHasAnswered) {
  std::atomic<bool> up = true;
  const auto transport =
      std::make_shared<PlayedTransport>([&](const HttpRequest&) -> Result<HttpResponse> {
        if (!up) {
          return fail(Error(ErrorCode::unavailable, "cannot connect to r.example:443: refused")
                          .with_hint("check that the server runs")
                          .retryable());
        }
        return HttpResponse{.status = 200, .body = R"({"tags":["t"]})"};
      });
  RecordingDiagnostics diagnostics;
  for (const bool answers_first : {false, true}) {
    Client client(transport, {},
                  {.retry = {.attempts = 2}, .clock = std::make_shared<ManualClock>()},
                  diagnostics);
    const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
    up = answers_first;
    EXPECT_EQ(store->tags().has_value(), answers_first);
    up = false;
    const auto down = store->tags();
    ASSERT_THAT(down, fails_with(ErrorCode::unavailable));
    EXPECT_THAT(down.error().hint(), HasSubstr("check that the server runs"));
    const auto way_out = HasSubstr("--plain-http or --insecure");
    if (answers_first) {
      EXPECT_THAT(down.error().hint(), Not(way_out));
    } else {
      EXPECT_THAT(down.error().hint(), way_out);
    }
  }
}

}  // namespace
}  // namespace fnimage::registry
