// The client against a scripted server: the exact requests of each operation, every kind of answer
// to them, and that credentials stay where they belong.
#include <atomic>
#include <thread>

#include <fnimage/registry/client.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/scripted_server.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Fault = test::Reply::Fault;

const Reply fine{.status = 200};

std::shared_ptr<const CredentialStore> ann(const ScriptedServer& server) {
  return fixed_credentials(server.address(), {.username = "ann", .password = "secret"});
}

constexpr std::string_view ann_basic = "Basic YW5uOnNlY3JldA==";

Reply bearer_challenge(const std::string& realm, const std::string& scope = "") {
  return {.status = 401,
          .headers = {{"WWW-Authenticate", "Bearer realm=\"" + realm + "\",service=\"reg\"" +
                                               (scope.empty() ? "" : ",scope=\"" + scope + "\"")}}};
}

Reply manifest_reply(const manifest::Document& document) {
  return {.headers = {{"Content-Type", document.media_type() + "; charset=utf-8"},
                      {"Docker-Content-Digest", document.digest().str()}},
          .body = document.bytes()};
}

/// A plain http client on one repository of a server.
struct Fixture {
  Fixture() { store = client.repository(server.address() + "/a/b"); }
  ScriptedServer server;
  TestClient client{{.plain_http = true}};
  std::unique_ptr<ImageStore> store;
  std::string blob = "some bytes";
  manifest::Descriptor descriptor = blob_of(blob);
  ContentPtr content = memory_content(blob);
  std::string digest = descriptor.digest.str();
  std::string escaped = "sha256%3A" + std::string(descriptor.digest.hex());
  std::string head = "HEAD /v2/a/b/blobs/" + digest;
  std::string post = "POST /v2/a/b/blobs/uploads/?mount=" + escaped;
};

Reply session_at(std::string location) {
  return {.status = 202, .headers = {{"Location", std::move(location)}}};
}

// --- finding the registry ---

TEST(Ping, NotARegistryIsSaid) {
  ScriptedServer server([](const SeenRequest&) { return Reply{.status = 404}; });
  TestClient client({.plain_http = true});
  EXPECT_THAT(client->ping(server.address()),
              fails_with(ErrorCode::protocol, HasSubstr("no registry answers")));
  EXPECT_THAT(client->ping("http://x/y"), fails_with(ErrorCode::invalid_argument));
}

TEST(Ping, UnreachableIsRetriedThenToldWithContext) {
  std::string address;
  {
    const ScriptedServer server;
    address = server.address();
  }
  TestClient client({.plain_http = true, .retry = {.attempts = 2}});
  const auto result = client->ping(address);
  ASSERT_THAT(result, fails_with(ErrorCode::unavailable,
                                 AllOf(HasSubstr(address), HasSubstr("connection refused"))));
}

TEST(Repository, NeedsARegistry) {
  TestClient client({});
  EXPECT_THAT(client->repository(unwrap(manifest::Reference::parse("action:latest"))),
              fails_with(ErrorCode::invalid_argument));
}

// --- authentication ---

TEST(Auth, BearerTokenIsAskedOnceAndUsedForTheScope) {
  ScriptedServer auth;
  auth.expect("GET /token?service=reg&scope=repository%3Aa%2Fb%3Apull",
              {.body = R"({"token":"T1","expires_in":300})"});
  ScriptedServer server;
  TestClient client({.plain_http = true}, ann(server));
  // Same host, http registry: the realm may have the credentials.
  server.expect("HEAD /v2/a/b/manifests/x", bearer_challenge(auth.url("/token")))
      .expect("HEAD /v2/a/b/manifests/x", {.status = 404})
      .expect("HEAD /v2/a/b/manifests/y", {.status = 404});
  const auto store = client.repository(server.address() + "/a/b");
  EXPECT_THAT(store->resolve("x"), is_ok());
  EXPECT_THAT(store->resolve("y"), is_ok());
  EXPECT_THAT(server.problems(), IsEmpty());
  EXPECT_THAT(auth.problems(), IsEmpty());
  EXPECT_EQ(auth.requests().at(0).header("authorization"), ann_basic);
  EXPECT_EQ(server.requests()[0].header("authorization"), std::nullopt);
  EXPECT_EQ(server.requests()[1].header("authorization"), "Bearer T1");
  EXPECT_EQ(server.requests()[2].header("authorization"), "Bearer T1");
}

TEST(Auth, IdentityTokenGoesByPost) {
  ScriptedServer auth;
  auth.expect("POST /token", {.body = R"({"access_token":"T"})"});
  ScriptedServer server;
  TestClient client({.plain_http = true},
                    fixed_credentials(server.address(), {.identity_token = "id&en"}));
  server.expect("HEAD /v2/a/manifests/x", bearer_challenge(auth.url("/token")))
      .expect("HEAD /v2/a/manifests/x", {.status = 404});
  EXPECT_THAT(client.repository(server.address() + "/a")->resolve("x"), is_ok());
  EXPECT_EQ(auth.requests().at(0).body,
            "grant_type=refresh_token&refresh_token=id%26en&service=reg&"
            "scope=repository%3Aa%3Apull&client_id=fnimage");
  EXPECT_EQ(auth.requests().at(0).header("authorization"), std::nullopt);
}

TEST(Auth, RefusedTokenIsReplacedAndTheChallengesScopeAdded) {
  ScriptedServer auth;
  auth.expect("GET /t?service=reg&scope=repository%3Aa%2Fb%3Apull", {.body = R"({"token":"T1"})"})
      .expect("GET /t?service=reg&scope=repository%3Aa%2Fb%3Apull&scope=extra%3Ax%3Apull",
              {.body = R"({"token":"T2"})"});
  Fixture f;
  f.server.expect("HEAD /v2/a/b/manifests/x", bearer_challenge(auth.url("/t")))
      .expect("HEAD /v2/a/b/manifests/x", bearer_challenge(auth.url("/t"), "extra:x:pull"))
      .expect("HEAD /v2/a/b/manifests/x", {.status = 404});
  EXPECT_THAT(f.store->resolve("x"), is_ok());
  EXPECT_THAT(auth.problems(), IsEmpty());
  EXPECT_EQ(f.server.requests().at(2).header("authorization"), "Bearer T2");
}

TEST(Auth, EndlessChallengesEnd) {
  ScriptedServer auth([](const SeenRequest&) { return Reply{.body = R"({"token":"T"})"}; });
  ScriptedServer server;
  server.otherwise([&](const SeenRequest&) { return bearer_challenge(auth.url("/t")); });
  TestClient client({.plain_http = true});
  EXPECT_THAT(client.repository(server.address() + "/a")->tags(),
              fails_with(ErrorCode::unauthorized));
  EXPECT_LE(server.requests().size(), 4U);
}

TEST(Auth, WrongPasswordAtTheTokenServerIsUnauthorizedAndNotRepeated) {
  ScriptedServer auth([](const SeenRequest&) { return Reply{.status = 401}; });
  ScriptedServer server;
  server.otherwise([&](const SeenRequest&) { return bearer_challenge(auth.url("/t")); });
  TestClient client({.plain_http = true}, ann(server));
  EXPECT_THAT(client->ping(server.address()),
              fails_with(ErrorCode::unauthorized, HasSubstr("token")));
  EXPECT_EQ(auth.requests().size(), 1U);
}

TEST(Auth, TokenServerIsNotFollowedElsewhere) {
  ScriptedServer evil([](const SeenRequest&) { return Reply{.body = R"({"token":"T"})"}; });
  ScriptedServer auth([&](const SeenRequest&) {
    return Reply{.status = 307, .headers = {{"Location", evil.url("/t")}}};
  });
  ScriptedServer server;
  server.otherwise([&](const SeenRequest&) { return bearer_challenge(auth.url("/t")); });
  TestClient client({.plain_http = true}, ann(server));
  EXPECT_FALSE(client->ping(server.address()).has_value());
  EXPECT_THAT(evil.requests(), IsEmpty());
}

TEST(Auth, BasicIsSentToTheRegistryOnly) {
  ScriptedServer storage;
  storage.expect("GET /data", {.body = "some bytes"});
  Fixture f;
  TestClient client({.plain_http = true}, ann(f.server));
  f.server.otherwise([&](const SeenRequest& request) -> Reply {
    if (!request.header("authorization")) {
      return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
    }
    return {.status = 307, .headers = {{"Location", storage.url("/data")}}};
  });
  const auto store = client.repository(f.server.address() + "/a/b");
  const auto reader = unwrap(unwrap(store->blob(f.descriptor))->open());
  EXPECT_EQ(unwrap(read_all(*reader, 100)), f.blob);
  EXPECT_EQ(f.server.requests().back().header("authorization"), ann_basic);
  ASSERT_EQ(storage.requests().size(), 1U);
  EXPECT_EQ(storage.requests()[0].header("authorization"), std::nullopt);
}

// --- redirects ---

TEST(Redirects, TenPassAndElevenDoNot) {
  for (const int redirects : {10, 11}) {
    Fixture f;
    std::atomic<int> left = redirects;
    f.server.otherwise([&](const SeenRequest&) -> Reply {
      if (left-- > 0) {
        return {.status = 302, .headers = {{"Location", "/v2/again"}}};
      }
      return {.body = R"({"tags":["t"]})"};
    });
    const auto tags = f.store->tags();
    if (redirects == 10) {
      EXPECT_THAT(unwrap(tags), ElementsAre("t"));
    } else {
      EXPECT_THAT(tags, fails_with(ErrorCode::protocol, HasSubstr("more than 10 redirects")));
    }
    EXPECT_EQ(f.server.requests().size(), 11U);
  }
}

TEST(Redirects, OtherSchemesAndMissingLocationsAreRefused) {
  for (const Reply& reply :
       {Reply{.status = 302, .headers = {{"Location", "file:///etc/passwd"}}},
        Reply{.status = 302, .headers = {{"Location", "http://u:p@h/"}}}, Reply{.status = 302}}) {
    Fixture f;
    f.server.expect("GET /v2/a/b/tags/list?n=1000", reply);
    EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::protocol));
  }
}

TEST(Redirects, OfWritesAreNotFollowed) {
  ScriptedServer other;
  Fixture f;
  const manifest::Document document = image_of("{}", {});
  f.server.expect("PUT /v2/a/b/manifests/t",
                  {.status = 307, .headers = {{"Location", other.url("/x")}}});
  EXPECT_THAT(f.store->put_manifest(document, "t"), fails_with(ErrorCode::protocol));
  EXPECT_THAT(other.requests(), IsEmpty());
}

// --- retries ---

TEST(Retries, TransientAnswersAndLostConnections) {
  Fixture f;
  const std::string tags = "GET /v2/a/b/tags/list?n=1000";
  f.server.expect(tags, {.status = 503})
      .expect(tags, {.fault = Fault::reset})
      .expect(tags, {.status = 429, .headers = {{"Retry-After", "0"}}})
      .expect(tags, {.body = R"({"tags":["b","a","b","\u001b"]})"});
  EXPECT_THAT(unwrap(f.store->tags()), ElementsAre("a", "b"));
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(Retries, AreLimitedAndDoNotTouchOtherErrors) {
  Fixture f;
  f.server.otherwise([](const SeenRequest& request) {
    return Reply{.status = request.target.find("tags") != std::string::npos ? 503 : 400};
  });
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::unavailable));
  EXPECT_EQ(f.server.requests().size(), 5U);
  EXPECT_THAT(f.store->referrers(f.descriptor.digest), fails_with(ErrorCode::protocol));
  EXPECT_EQ(f.server.requests().size(), 5U + 1U);
}

TEST(Retries, ListWhoseImagesSeemToBeMissingIsPutAgain) {
  const manifest::Document list =
      manifest::Document::of(manifest::Index{.manifests = {image_of("{}", {}).descriptor()}});
  const Reply missing{.status = 400, .body = R"({"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]})"};
  Fixture f;
  f.server.expect("PUT /v2/a/b/manifests/t", missing)
      .expect("PUT /v2/a/b/manifests/t", {.status = 201});
  EXPECT_THAT(f.store->put_manifest(list, "t"), is_ok());
  EXPECT_EQ(f.server.requests().back().body, list.bytes());
  f.server.otherwise([&](const SeenRequest&) { return missing; });
  EXPECT_THAT(f.store->put_manifest(list, "t"),
              fails_with(ErrorCode::protocol, HasSubstr("MANIFEST_BLOB_UNKNOWN")));
}

TEST(Retries, ManifestPutWithRetryAfterWaitsAndSendsTheBodyAgain) {
  Fixture f;
  const manifest::Document document = image_of("{}", {});
  f.server.expect("PUT /v2/a/b/manifests/t", {.status = 429, .headers = {{"Retry-After", "1"}}})
      .expect("PUT /v2/a/b/manifests/t", {.status = 201});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(f.store->put_manifest(document, "t"), is_ok());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(f.server.requests().back().body, document.bytes());
  EXPECT_THAT(f.client.messages(), Contains(HasSubstr("trying again in 1 s")));
}

TEST(Retries, UnreasonableRetryAfterIsAnErrorAtOnce) {
  Fixture f;
  f.server.expect("GET /v2/a/b/tags/list?n=1000",
                  {.status = 429, .headers = {{"Retry-After", "86400"}}});
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::rate_limited));
}

TEST(Retries, HandshakesThatAreReset) {
  ScriptedServer server;
  server.hang_up();
  TestClient client({.retry = {.attempts = 3}});
  EXPECT_THAT(client->ping(server.address()), fails_with(ErrorCode::unavailable));
  EXPECT_EQ(server.connections(), 3U);
}

TEST(Retries, GoOnForTheTimeThatIsGivenAndNoLonger) {
  const auto clock = std::make_shared<ManualClock>();
  Fixture f;
  TestClient client({.plain_http = true,
                     .retry = {.attempts = 1000,
                               .max_delay = std::chrono::seconds(1),
                               .retry_for = std::chrono::minutes(1)},
                     .clock = clock});
  f.server.otherwise([](const SeenRequest&) { return Reply{.status = 503}; });
  const Clock::Time begin = clock->now();
  EXPECT_THAT(client.repository(f.server.address() + "/a/b")->tags(),
              fails_with(ErrorCode::unavailable));
  EXPECT_LE(clock->now() - begin, std::chrono::minutes(1));
  EXPECT_GT(clock->now() - begin, std::chrono::seconds(58));
  EXPECT_GT(f.server.requests().size(), 60U) << "the tries do not count";
}

TEST(Retries, UploadsGoOnForTheTimeThatIsGiven) {
  const auto clock = std::make_shared<ManualClock>();
  Fixture f;
  TestClient client({.plain_http = true,
                     .retry = {.attempts = 1000, .retry_for = std::chrono::seconds(10)},
                     .clock = clock});
  f.server.otherwise([](const SeenRequest& request) -> Reply {
    return request.method == "POST" ? session_at("/up/1")
                                    : Reply{.status = request.method == "PUT" ? 503 : 404};
  });
  const Clock::Time begin = clock->now();
  EXPECT_THAT(
      client.repository(f.server.address() + "/a/b")->put_blob(f.descriptor, *f.content, {}),
      fails_with(ErrorCode::unavailable));
  EXPECT_LE(clock->now() - begin, std::chrono::seconds(10));
  EXPECT_GT(clock->now() - begin, std::chrono::seconds(4));
}

/// F4 and C30 for bodies: whatever form Retry-After has, and whichever request is answered so.
TEST(Retries, BlobBodiesWaitAsLongAsTheRegistryAsks) {
  const std::vector<std::pair<std::string, std::string>> in_seconds{{"Retry-After", "3"}};
  const std::vector<std::pair<std::string, std::string>> as_date{
      {"Date", "Tue, 14 Nov 2023 22:13:20 GMT"}, {"Retry-After", "Tue, 14 Nov 2023 22:13:23 GMT"}};
  for (const int status : {429, 503}) {
    for (const auto& headers : {in_seconds, as_date}) {
      const auto clock = std::make_shared<ManualClock>();
      Fixture f;
      TestClient client({.plain_http = true, .clock = clock});
      std::optional<Clock::Time> refused;
      f.server.otherwise([&](const SeenRequest& request) -> Reply {
        if (request.method == "POST") {
          return session_at("/up/1");
        }
        if (request.method != "PUT") {
          return {.status = 404};
        }
        if (!refused) {
          refused = clock->now();
          return {.status = status, .headers = headers};
        }
        EXPECT_GE(clock->now() - *refused, std::chrono::seconds(3));
        return {.status = 201};
      });
      const auto store = client.repository(f.server.address() + "/a/b");
      EXPECT_THAT(store->put_blob(f.descriptor, *f.content, {}), is_ok());
      EXPECT_THAT(client.messages(), Contains(HasSubstr("trying again in 3 s"))) << status;
    }
  }
}

/// Whoever waits for a connection's turn when the gate closes is held back as well.
TEST(Retries, NobodyIsAskedWhileTheGateIsClosed) {
  const auto clock = std::make_shared<ManualClock>();
  Fixture f;
  TestClient client({.plain_http = true, .clock = clock});
  f.server
      .expect("HEAD /v2/a/b/manifests/alone", {.status = 429})  // from now on one at a time
      .expect("HEAD /v2/a/b/manifests/alone", {.status = 404});
  std::atomic<int> waiting = 0;
  std::optional<Clock::Time> opens;  // looked at by one request at a time
  f.server.otherwise([&](const SeenRequest&) -> Reply {
    if (opens) {
      EXPECT_GE(clock->now(), *opens);
      return {.status = 404};
    }
    while (waiting < 4) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the others join the queue
    opens = clock->now() + std::chrono::seconds(60);
    return {.status = 429, .headers = {{"Retry-After", "60"}}};
  });
  const auto store = client.repository(f.server.address() + "/a/b");
  EXPECT_THAT(store->resolve("alone"), is_ok());
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ++waiting;
      EXPECT_THAT(store->resolve("x"), is_ok());
    });
  }
}

TEST(Retries, NoMoreRequestsInASecondThanAreAllowed) {
  const auto clock = std::make_shared<ManualClock>();
  Fixture f;
  TestClient client({.plain_http = true, .requests_per_second = 4, .clock = clock});
  f.server.otherwise([](const SeenRequest&) { return Reply{.status = 404}; });
  const auto store = client.repository(f.server.address() + "/a/b");
  const Clock::Time begin = clock->now();
  for (int i = 0; i < 9; ++i) {
    EXPECT_THAT(store->resolve("x"), is_ok());
  }
  EXPECT_EQ(clock->now() - begin, std::chrono::seconds(2));
}

// --- manifests ---

TEST(Manifests, AcceptNamesAllTypesAndBytesAreKept) {
  Fixture f;
  const manifest::Document document = image_of("{}", {"l"});
  f.server.expect("GET /v2/a/b/manifests/t", manifest_reply(document))
      .expect("HEAD /v2/a/b/manifests/t", manifest_reply(document));
  EXPECT_EQ(unwrap(f.store->get_manifest("t")).bytes(), document.bytes());
  for (const auto type :
       {manifest::media_type::oci_index, manifest::media_type::oci_manifest,
        manifest::media_type::docker_list, manifest::media_type::docker_manifest}) {
    EXPECT_THAT(f.server.requests().at(0).header("accept").value_or(""),
                HasSubstr(std::string(type)));
  }
  EXPECT_EQ(f.server.requests().at(0).header("accept-encoding"), "identity");
  const auto resolved = unwrap(f.store->resolve("t"));
  EXPECT_EQ(resolved, document.descriptor());
}

TEST(Manifests, LyingDigestsAreFound) {
  const manifest::Document document = image_of("{}", {"l"});
  const manifest::Digest other = manifest::Digest::of("other");
  {
    Fixture f;  // asked by digest: the header may say what it likes
    Reply reply = manifest_reply(document);
    reply.headers[1].second = other.str();
    f.server.expect("GET /v2/a/b/manifests/" + other.str(), reply);
    EXPECT_THAT(f.store->get_manifest(other), fails_with(ErrorCode::verification));
  }
  {
    Fixture f;  // asked by tag
    Reply reply = manifest_reply(document);
    reply.headers[1].second = other.str();
    f.server.expect("GET /v2/a/b/manifests/t", reply);
    EXPECT_THAT(f.store->get_manifest("t"), fails_with(ErrorCode::verification));
  }
  {
    Fixture f;  // stored as something else
    f.server.expect("PUT /v2/a/b/manifests/t",
                    {.status = 201, .headers = {{"Docker-Content-Digest", other.str()}}});
    EXPECT_THAT(f.store->put_manifest(document, "t"), fails_with(ErrorCode::verification));
  }
}

TEST(Manifests, HeadThatTellsTooLittleIsReplacedByGet) {
  const manifest::Document document = image_of("{}", {"l"});
  for (const int status : {405, 403, 200}) {
    Fixture f;
    Reply reply = manifest_reply(document);
    reply.headers.pop_back();  // no digest, as older registries
    f.server
        .expect("HEAD /v2/a/b/manifests/t",
                {.status = status, .headers = {{"Content-Type", document.media_type()}}})
        .expect("GET /v2/a/b/manifests/t", reply);
    EXPECT_EQ(unwrap(f.store->resolve("t")), document.descriptor()) << status;
  }
}

TEST(Manifests, OversizeIsRefused) {
  Fixture f;
  f.server.expect("GET /v2/a/b/manifests/t",
                  {.headers = {{"Content-Type", std::string(manifest::media_type::oci_index)}},
                   .body = std::string(65536, ' '),
                   .fault = Fault::endless});
  EXPECT_THAT(f.store->get_manifest("t"), fails_with(ErrorCode::protocol, HasSubstr("larger")));
}

TEST(Manifests, PutUsesExactTypeAndErrorsAreTold) {
  Fixture f;
  const manifest::Document document = image_of("{}", {"l"});
  const std::string target = "PUT /v2/a/b/manifests/" + document.digest().str();
  f.server.expect(target, {.status = 201})
      .expect(target, {.status = 403,
                       .body = R"({"errors":[{"code":"DENIED","message":"not \u001byours"}]})"});
  EXPECT_THAT(f.store->put_manifest(document, std::nullopt), is_ok());
  EXPECT_EQ(f.server.requests().at(0).header("content-type"), document.media_type());
  EXPECT_THAT(f.store->put_manifest(document, std::nullopt),
              fails_with(ErrorCode::unauthorized,
                         AllOf(HasSubstr("DENIED: not "), Not(HasSubstr("\x1b")))));
}

TEST(Manifests, TagsAreChecked) {
  Fixture f;
  EXPECT_THAT(f.store->get_manifest("../x"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(f.store->put_manifest(image_of("{}", {}), "a/b"),
              fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(f.store->remove_tag(""), fails_with(ErrorCode::invalid_argument));
}

// --- listings ---

TEST(Tags, PagesAreFollowedOnTheSameOriginOnly) {
  Fixture f;
  f.server
      .expect("GET /v2/a/b/tags/list?n=1000",
              {.headers = {{"Link", "</v2/a/b/tags/list?n=1000&last=b>; rel=\"next\""}},
               .body = R"({"name":"a/b","tags":["b"]})"})
      .expect("GET /v2/a/b/tags/list?n=1000&last=b", {.body = R"({"tags":["a"]})"})
      .expect("GET /v2/a/b/tags/list?n=1000", {.body = R"({"tags":null})"});
  EXPECT_THAT(unwrap(f.store->tags()), ElementsAre("a", "b"));
  EXPECT_THAT(unwrap(f.store->tags()), IsEmpty());
  ScriptedServer evil;
  f.server.expect(
      "GET /v2/a/b/tags/list?n=1000",
      {.headers = {{"Link", "<" + evil.url("/x") + ">; rel=next"}}, .body = R"({"tags":["a"]})"});
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::protocol, HasSubstr("elsewhere")));
  EXPECT_THAT(evil.requests(), IsEmpty());
}

TEST(Tags, CirclesAndMissingRepositories) {
  Fixture f;
  f.server.expect(
      "GET /v2/a/b/tags/list?n=1000",
      {.headers = {{"Link", "</v2/a/b/tags/list?n=1000>; rel=next"}}, .body = R"({"tags":["a"]})"});
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::protocol, HasSubstr("circles")));
  f.server.expect("GET /v2/a/b/tags/list?n=1000",
                  {.status = 404, .body = R"({"errors":[{"code":"NAME_UNKNOWN"}]})"});
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::not_found, HasSubstr("NAME_UNKNOWN")));
}

TEST(Tags, RemovalHasFourOutcomes) {
  Fixture f;
  const std::string line = "DELETE /v2/a/b/manifests/t";
  f.server.expect(line, {.status = 202})
      .expect(line, {.status = 404})
      .expect(line, {.status = 405})
      .expect(line, {.status = 403});
  EXPECT_THAT(f.store->remove_tag("t"), is_ok());
  EXPECT_THAT(f.store->remove_tag("t"), fails_with(ErrorCode::not_found));
  EXPECT_THAT(f.store->remove_tag("t"), fails_with(ErrorCode::unsupported));
  EXPECT_THAT(f.store->remove_tag("t"), fails_with(ErrorCode::unauthorized));
}

TEST(Referrers, ApiThenTagThenNothing) {
  const manifest::Digest digest = manifest::Digest::of("subject");
  manifest::Index index;
  index.manifests.push_back(blob_of("sbom", manifest::media_type::oci_manifest));
  const manifest::Document document = manifest::Document::of(index);
  const std::string api = "GET /v2/a/b/referrers/" + digest.str();
  const std::string tag = "GET /v2/a/b/manifests/sha256-" + std::string(digest.hex());
  Fixture f;
  f.server.expect(api, manifest_reply(document))
      .expect(api, {.status = 404})
      .expect(tag, manifest_reply(document))
      .expect(api, {.status = 404})
      .expect(tag, {.status = 404})
      .expect(api, {.status = 404})
      .expect(tag, manifest_reply(image_of("{}", {})));
  EXPECT_EQ(unwrap(f.store->referrers(digest)), index.manifests);
  EXPECT_EQ(unwrap(f.store->referrers(digest)), index.manifests);
  EXPECT_THAT(unwrap(f.store->referrers(digest)), IsEmpty());
  EXPECT_THAT(unwrap(f.store->referrers(digest)), IsEmpty());
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(Referrers, AreListedUnderTheTagWhereTheRegistryDoesNot) {
  const manifest::Digest subject = manifest::Digest::of("subject");
  manifest::ImageManifest image{.config = blob_of("{}", "application/vnd.example.sbom"),
                                .layers = {},
                                .annotations = {{"made-by", "test"}}};
  image.subject = blob_of("subject", manifest::media_type::oci_manifest);
  const auto document = manifest::Document::of(image);
  const std::string put = "PUT /v2/a/b/manifests/" + document.digest().str();
  const std::string tag = "/v2/a/b/manifests/sha256-" + std::string(subject.hex());
  Fixture f;
  f.server.expect(put, {.status = 201, .headers = {{"OCI-Subject", subject.str()}}})
      .expect(put, {.status = 201})
      .expect("GET " + tag, {.status = 404})
      .expect("PUT " + tag, {.status = 201});
  EXPECT_THAT(f.store->put_manifest(document, std::nullopt), is_ok());
  EXPECT_THAT(f.store->put_manifest(document, std::nullopt), is_ok());
  ASSERT_THAT(f.server.problems(), IsEmpty());
  const std::string listed = f.server.requests().back().body;
  const auto list = unwrap(manifest::Index::parse(listed));
  ASSERT_EQ(list.manifests.size(), 1U);
  EXPECT_EQ(list.manifests[0].digest, document.digest());
  EXPECT_EQ(list.manifests[0].artifact_type, "application/vnd.example.sbom");
  EXPECT_EQ(list.manifests[0].annotations.at("made-by"), "test");

  // Again: it is listed already. And what is no list stays as it is.
  f.server.expect(put, {.status = 201})
      .expect("GET " + tag, manifest_reply(manifest::Document::of(list)))
      .expect(put, {.status = 201})
      .expect("GET " + tag, manifest_reply(image_of("{}", {})));
  EXPECT_THAT(f.store->put_manifest(document, std::nullopt), is_ok());
  EXPECT_THAT(f.store->put_manifest(document, std::nullopt), fails_with(ErrorCode::unsupported));
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

// --- uploads ---

TEST(Upload, HeadThenMountPostThenOnePut) {
  Fixture f;
  f.server.expect(f.head, {.status = 404})
      .expect(f.post, session_at("/up/1?_state=x%3D"))
      .expect("PUT /up/1?_state=x%3D&digest=" + f.escaped, {.status = 201});
  EXPECT_EQ(unwrap(f.store->put_blob(f.descriptor, *f.content, {})), BlobOutcome::uploaded);
  EXPECT_THAT(f.server.problems(), IsEmpty());
  const SeenRequest put = f.server.requests().back();
  EXPECT_EQ(put.body, f.blob);
  EXPECT_EQ(put.header("content-type"), "application/octet-stream");
  EXPECT_EQ(put.header("content-length"), std::to_string(f.blob.size()));
}

TEST(Upload, ExistingAndMountedBlobsAreNotSent) {
  Fixture f;
  f.server.expect(f.head, fine)
      .expect(f.head, {.status = 404})
      .expect(f.post + "&from=other%2Fone", {.status = 201});
  EXPECT_EQ(unwrap(f.store->put_blob(f.descriptor, *f.content, {})), BlobOutcome::existed);
  EXPECT_EQ(
      unwrap(f.store->put_blob(f.descriptor, *f.content,
                               {.mount_from = RepositoryName{f.server.address(), "other/one"}})),
      BlobOutcome::mounted);
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(Upload, MountFromAnotherRegistryIsNotTriedAndRefusedMountsAreNoError) {
  Fixture f;
  f.server.expect(f.head, {.status = 404})
      .expect(f.post, {.status = 400})
      .expect("POST /v2/a/b/blobs/uploads/", session_at(f.server.url("/up")))
      .expect("PUT /up?digest=" + f.escaped, {.status = 201});
  EXPECT_EQ(unwrap(f.store->put_blob(f.descriptor, *f.content,
                                     {.mount_from = RepositoryName{"r.example", "other"}})),
            BlobOutcome::uploaded);
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(Upload, LostSessionsAreReplaced) {
  for (const Reply& lost :
       {Reply{.status = 404, .body = R"({"errors":[{"code":"BLOB_UPLOAD_INVALID"}]})"},
        Reply{.status = 503}, Reply{.fault = Fault::reset},
        Reply{.status = 429, .headers = {{"Retry-After", "0"}}}}) {
    Fixture f;
    f.server.expect(f.head, {.status = 404})
        .expect(f.post, session_at("/up/1"))
        .expect("PUT /up/1?digest=" + f.escaped, lost);
    if (lost.fault == Fault::reset) {  // the connection was kept alive: it is tried anew first
      f.server.expect("PUT /up/1?digest=" + f.escaped, lost);
    }
    if (lost.fault == Fault::reset || lost.status == 503) {  // the blob may be there
      f.server.expect(f.head, {.status = 404});
    }
    if (lost.status != 404) {
      f.server.expect("DELETE /up/1", {.status = 404});
    }
    f.server.expect(f.post, session_at("/up/2"))
        .expect("PUT /up/2?digest=" + f.escaped, {.status = 201});
    EXPECT_EQ(unwrap(f.store->put_blob(f.descriptor, *f.content, {})), BlobOutcome::uploaded);
    EXPECT_THAT(f.server.problems(), IsEmpty()) << lost.status;
    EXPECT_EQ(f.server.requests().back().body, f.blob);
  }
}

TEST(Upload, LostAnswerIsFoundByHead) {
  Fixture f;
  f.server.expect(f.head, {.status = 404})
      .expect(f.post, session_at("/up/1"))
      .expect("PUT /up/1?digest=" + f.escaped, {.status = 504})
      .expect(f.head, fine);
  EXPECT_EQ(unwrap(f.store->put_blob(f.descriptor, *f.content, {})), BlobOutcome::uploaded);
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(Upload, RefusalEndsItAndTheSessionIsDeleted) {
  Fixture f;
  f.server.expect(f.head, {.status = 404})
      .expect(f.post, session_at("/up/1"))
      .expect("PUT /up/1?digest=" + f.escaped,
              {.status = 400, .body = R"({"errors":[{"code":"DIGEST_INVALID"}]})"})
      .expect("DELETE /up/1", {.status = 204});
  EXPECT_THAT(f.store->put_blob(f.descriptor, *f.content, {}), fails_with(ErrorCode::verification));
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(Upload, AttemptsAreLimited) {
  Fixture f;
  f.server.otherwise([&](const SeenRequest& request) -> Reply {
    if (request.method == "POST") {
      return session_at("/up/1");
    }
    return {.status = request.method == "PUT" ? 503 : 404};
  });
  EXPECT_THAT(f.store->put_blob(f.descriptor, *f.content, {}), fails_with(ErrorCode::unavailable));
  EXPECT_EQ(std::ranges::count(f.server.lines(), "PUT /up/1?digest=" + f.escaped), 5);
  EXPECT_EQ(std::ranges::count(f.server.lines(), "DELETE /up/1"), 5);
}

TEST(Upload, ForeignLocationGetsNoCredentials) {
  ScriptedServer storage;
  Fixture f;
  TestClient client({.plain_http = true}, ann(f.server));
  storage.expect("PUT /up?digest=" + f.escaped, {.status = 201});
  f.server.otherwise([&](const SeenRequest& request) -> Reply {
    if (!request.header("authorization")) {
      return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
    }
    return request.method == "POST" ? session_at(storage.url("/up")) : Reply{.status = 404};
  });
  const auto store = client.repository(f.server.address() + "/a/b");
  EXPECT_EQ(unwrap(store->put_blob(f.descriptor, *f.content, {})), BlobOutcome::uploaded);
  ASSERT_EQ(storage.requests().size(), 1U);
  EXPECT_EQ(storage.requests()[0].header("authorization"), std::nullopt);
  EXPECT_EQ(storage.requests()[0].body, f.blob);
}

TEST(Upload, ChallengeInTheMiddleSendsTheBodyAgain) {
  Fixture f;
  TestClient client({.plain_http = true}, ann(f.server));
  f.server.expect(f.head, {.status = 404})
      .expect(f.post, session_at("/up"))
      .expect("PUT /up?digest=" + f.escaped,
              {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=x"}}})
      .expect("PUT /up?digest=" + f.escaped, {.status = 201});
  const auto store = client.repository(f.server.address() + "/a/b");
  EXPECT_EQ(unwrap(store->put_blob(f.descriptor, *f.content, {})), BlobOutcome::uploaded);
  EXPECT_EQ(f.server.requests().back().body, f.blob);
  EXPECT_EQ(f.server.requests().back().header("authorization"), ann_basic);
}

TEST(Upload, WrongSizeIsRefusedBeforeAnythingIsSent) {
  Fixture f;
  const ContentPtr longer = memory_content(f.blob + "x");
  EXPECT_THAT(f.store->put_blob(f.descriptor, *longer, {}), fails_with(ErrorCode::verification));
  EXPECT_THAT(f.server.requests(), IsEmpty());
}

// --- downloads ---

TEST(Download, GoesOnWithRangeAfterABrokenConnection) {
  const std::string bytes = random_bytes(1'000'000);
  const manifest::Descriptor descriptor = blob_of(bytes);
  for (const bool supports_range : {true, false}) {
    Fixture f;
    int round = 0;
    f.server.otherwise([&](const SeenRequest& request) -> Reply {
      if (round++ == 0) {
        return {.body = bytes, .fault = Fault::cut};
      }
      EXPECT_EQ(request.header("range"), "bytes=500000-");
      return supports_range ? Reply{.status = 206,
                                    .headers = {{"Content-Range", "bytes 500000-999999/1000000"}},
                                    .body = bytes.substr(500'000)}
                            : Reply{.body = bytes};
    });
    const auto reader = unwrap(unwrap(f.store->blob(descriptor))->open());
    EXPECT_TRUE(unwrap(read_all(*reader, bytes.size())) == bytes);
    EXPECT_EQ(round, 2);
  }
}

TEST(Download, WrongBytesAreFound) {
  const std::string bytes = random_bytes(100'000);
  std::string flipped = bytes;
  flipped[70'000] = static_cast<char>(flipped[70'000] ^ 1);
  for (const std::string& sent : {flipped, bytes + "more", bytes.substr(0, 99'999)}) {
    Fixture f;
    f.server.otherwise([&](const SeenRequest&) { return Reply{.body = sent}; });
    const auto reader = unwrap(unwrap(f.store->blob(blob_of(bytes)))->open());
    EXPECT_THAT(read_all(*reader, 200'000), fails_with(ErrorCode::verification));
  }
}

TEST(Download, WrongRangeIsRefused) {
  const std::string bytes = random_bytes(1000);
  Fixture f;
  f.server.otherwise([&](const SeenRequest&) {
    return Reply{.status = 206, .headers = {{"Content-Range", "bytes 0-999/1000"}}, .body = bytes};
  });
  const auto reader = unwrap(unwrap(f.store->blob(blob_of(bytes)))->open(10));
  EXPECT_THAT(read_all(*reader, 2000), fails_with(ErrorCode::protocol));
}

TEST(Download, MissingBlobAndEarlyEndOfInterest) {
  Fixture f;
  f.server.expect("GET /v2/a/b/blobs/" + f.digest, {.status = 404});
  const auto reader = unwrap(unwrap(f.store->blob(f.descriptor))->open());
  EXPECT_THAT(read_all(*reader, 100), fails_with(ErrorCode::not_found));

  const std::string bytes = random_bytes(20'000'000);
  f.server.otherwise([&](const SeenRequest&) { return Reply{.body = bytes}; });
  const auto large = unwrap(unwrap(f.store->blob(blob_of(bytes)))->open());
  std::vector<std::byte> start(10);
  EXPECT_GT(unwrap(large->read(start)), 0U);  // and then the reader goes: nothing may hang
}

TEST(Warnings, AreShownOnceAndPrintable) {
  Fixture f;
  f.server.otherwise([](const SeenRequest&) {
    return Reply{.status = 404, .headers = {{"Warning", "299 - \"going \x1b away\""}}};
  });
  EXPECT_THAT(f.store->resolve("a"), is_ok());
  EXPECT_THAT(f.store->resolve("b"), is_ok());
  EXPECT_THAT(f.client.messages(), ElementsAre(AllOf(HasSubstr("going"), Not(HasSubstr("\x1b")))));
}

}  // namespace
}  // namespace fnimage::registry
