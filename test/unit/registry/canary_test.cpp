// No secret leaves the origin it belongs to, and none is in anything that people or programs get to
// see (reliability A1-A3, A8). A canary is sent through every way by which a registry can point
// elsewhere; what the foreign servers saw and everything that was reported is searched for it.
#include <fnimage/test/relay.hpp>
#include <fnimage/test/scripted_server.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "scripted_repository.hpp"

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
  for (const std::string& message : client.all_messages()) {
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

// --- the whole table, without any network ---

/// Where the registry https://r.example:5000 leads to.
constexpr std::string_view origins[] = {"https://r.example:5001",      // another port
                                        "https://r.example",           // the default port
                                        "https://other.example:5000",  // another host
                                        "https://a.r.example:5000",    // below it
                                        "https://r.example.evil:5000", "https://127.0.0.2:5000",
                                        "https://[::1]:5000"};

/// What leads there: an answer to which request.
enum class Lead : std::uint8_t { manifest, head, blob, link, put, patch, status, abandon };
constexpr Lead leads[] = {Lead::manifest, Lead::head,  Lead::blob,   Lead::link,
                          Lead::put,      Lead::patch, Lead::status, Lead::abandon};

/// Plays the registry; what goes elsewhere is kept.
class LeadingRegistry {
 public:
  LeadingRegistry(Scheme scheme, Lead lead, std::string target)
      : scheme_(scheme), lead_(lead), target_(std::move(target)) {}

  Result<HttpResponse> answer(const HttpRequest& request) {
    if (request.url.starts_with("https://r.example:5000/token")) {
      return HttpResponse{.status = 200, .body = R"({"token":"canary-token"})"};
    }
    if (!request.url.starts_with("https://r.example:5000/")) {
      foreign.push_back(request);
      if (request.method == "PATCH" && lead_ == Lead::status) {
        return fail(Error(ErrorCode::unavailable, "connection lost").retryable());
      }
      return HttpResponse{.status = request.method == "PATCH" && lead_ == Lead::patch ? 202 : 403};
    }
    const auto authorization = HttpResponse{.headers = request.headers}.header("Authorization");
    const std::string expected = scheme_ == Scheme::basic ? "Basic " + std::string(canary_basic)
                                                          : "Bearer " + std::string(canary_token);
    if (authorization != expected) {
      return HttpResponse{
          .status = 401,
          .headers = {{"WWW-Authenticate", scheme_ == Scheme::basic
                                               ? "Basic realm=\"x\""
                                               : "Bearer realm=\"https://r.example:5000/token\""}},
          .peer = "127.0.0.1"};
    }
    HttpResponse answer = lead(request);
    answer.peer = "127.0.0.1";
    return answer;
  }

  std::vector<HttpRequest> foreign;

 private:
  [[nodiscard]] HttpResponse lead(const HttpRequest& request) const {
    if (lead_ == Lead::link) {
      return {.status = 200,
              .headers = {{"Link", "<" + target_ + "/next>; rel=\"next\""}},
              .body = R"({"tags":["b"]})"};
    }
    if (request.method == "POST") {
      return {.status = 202, .headers = {{"Location", target_ + "/up?state=canary-token"}}};
    }
    if (lead_ == Lead::manifest || lead_ == Lead::blob || lead_ == Lead::head) {
      return {.status = 307, .headers = {{"Location", target_ + "/data?sig=canary-token"}}};
    }
    return {.status = 404};
  }

  Scheme scheme_;
  Lead lead_;
  std::string target_;
};

/// Lets the client go the way, and returns what it says about that.
std::string follow(ImageStore& store, Lead lead) {
  const std::string bytes = random_bytes(100'000);
  const auto told = [](const auto& result) {
    return result ? std::string() : result.error().describe() + result.error().hint();
  };
  switch (lead) {
    case Lead::manifest:
      return told(store.get_manifest("x"));
    case Lead::head:
      return told(store.has_blob(blob_of(bytes)));
    case Lead::blob:
      return told(read_all(*unwrap(unwrap(store.blob(blob_of(bytes)))->open()), bytes.size()));
    case Lead::link:
      return told(store.tags());
    default:
      return told(store.put_blob(blob_of(bytes), *memory_content(bytes), {}));
  }
}

TEST(CanaryTable, NothingSecretGoesToAnotherOrigin) {
  int combinations = 0;
  for (const Scheme scheme : {Scheme::basic, Scheme::bearer, Scheme::identity_token}) {
    for (const std::string_view origin : origins) {
      for (const Lead lead : leads) {
        for (const bool insecure : {false, true}) {
          SCOPED_TRACE(std::string(origin) + " " + std::to_string(static_cast<int>(lead)));
          LeadingRegistry registry(scheme, lead, std::string(origin));
          const auto transport = std::make_shared<PlayedTransport>(
              [&](const HttpRequest& request) { return registry.answer(request); });
          RecordingDiagnostics diagnostics;
          const bool in_chunks = lead == Lead::patch || lead == Lead::status;
          Client client(transport, fixed_credentials("r.example:5000", credentials_of(scheme)),
                        {.insecure = insecure,
                         .tls = {.cert_file = "client.pem", .key_file = "client.key"},
                         .retry = {.attempts = 2},
                         .chunk_size = in_chunks ? std::uint64_t{70'000} : 0,
                         .clock = std::make_shared<ManualClock>()},
                        diagnostics);
          const auto store =
              unwrap(client.repository(unwrap(manifest::Reference::parse("r.example:5000/a"))));
          std::string told = follow(*store, lead);
          for (const auto& messages : {diagnostics.messages(), diagnostics.debug_messages()}) {
            for (const std::string& message : messages) {
              told += message;
            }
          }
          expect_no_secret(told);
          EXPECT_EQ(registry.foreign.empty(), lead == Lead::link);
          for (const HttpRequest& request : registry.foreign) {
            EXPECT_EQ(HttpResponse{.headers = request.headers}.header("Authorization"),
                      std::nullopt);
            EXPECT_TRUE(request.tls.cert_file.empty() && request.tls.key_file.empty());
          }
          ++combinations;
        }
      }
    }
  }
  EXPECT_GE(combinations, 200);
}

TEST(CanaryTable, AnotherOriginGetsNoClientCertificateThoughItAsks) {
  const test::Certificate certificate = test::make_certificate();
  const test::TempDir directory;
  ScriptedServer storage([](const SeenRequest&) { return Reply{.body = "some bytes"}; });
  const test::TlsFront elsewhere(certificate, storage.address());
  ScriptedServer server([&](const SeenRequest&) {
    return Reply{.status = 307,
                 .headers = {{"Location", "https://" + elsewhere.address() + "/data"}}};
  });
  const test::TlsFront registry(certificate, server.address());
  TestClient client({.tls = {.cert_file = directory.write("client.pem", certificate.certificate),
                             .key_file = directory.write("client.key", certificate.key),
                             .ca_pem = certificate.certificate}});
  const auto store = client.repository(registry.address() + "/a");
  const auto content = unwrap(store->blob(blob_of("some bytes")));
  EXPECT_EQ(unwrap(read_all(*unwrap(content->open()), 100)), "some bytes");
  EXPECT_GT(registry.known_clients(), 0);
  EXPECT_EQ(storage.requests().size(), 1U);
  EXPECT_EQ(elsewhere.known_clients(), 0);
}

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
