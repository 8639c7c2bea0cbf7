// Hostile registries: the attacks that have no test beside what they are about. The others: A1 A2
// Canary.*, RedirectedDownload.*, A3 Realm.*, Peers.*, A4 Tls.SettingsBelong…, Realm.Named…, A5
// Downloads.ForeignLayers…, A6 Tags.PagesAreFollowed…, Circles…, ClientRules.C27…, A7
// Referrers.Circles…, ImageParts.DeepNesting…, TransferTest.ListsNested…, A8 Secrets.*,
// PrintableUrl.*, A9 DockerConfigTest.OnlyTheExactRegistry, HostConfig.Belongs…, A11
// Manifests.LyingDigests…, A25 Warnings.*, ErrorAnswers.Say…
#include <algorithm>
#include <atomic>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "scripted_repository.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::Reply;
using test::ScriptedServer;
using test::SeenRequest;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Attacks, A10WhatIsTwoThingsIsNothing) {
  const std::string digest = blob_of("{}").digest.str();
  const std::string entry =
      R"({"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" + digest +
      R"(","size":2})";
  const std::string both =
      R"({"schemaVersion":2,"config":)" + entry + R"(,"layers":[],"manifests":[]})";
  const std::string twice =
      R"({"schemaVersion":2,"layers":[],"config":)" + entry + R"(,"config":)" + entry + "}";
  for (const std::string& body : {both, twice}) {
    for (const std::string_view type :
         {manifest::media_type::oci_manifest, manifest::media_type::oci_index}) {
      ScriptedRepository f([&](const SeenRequest&) {
        return Reply{.headers = {{"Content-Type", std::string(type)}}, .body = body};
      });
      EXPECT_THAT(f.store->get_manifest("t"), fails_with(ErrorCode::invalid_input)) << body;
      EXPECT_THAT(f.store->get_manifest(manifest::Digest::of(body)),
                  fails_with(ErrorCode::invalid_input))
          << body;
    }
  }
}

TEST(Attacks, A11HeaderOfABlobProvesNothing) {
  const std::string bytes = "some bytes";
  for (const std::string& claimed :
       {blob_of(bytes).digest.str(), blob_of("evil bytes").digest.str()}) {
    ScriptedRepository f([&](const SeenRequest&) {
      return Reply{.headers = {{"Docker-Content-Digest", claimed}}, .body = "evil bytes"};
    });
    const auto reader = unwrap(unwrap(f.store->blob(blob_of(bytes)))->open());
    EXPECT_THAT(read_all(*reader, 100), fails_with(ErrorCode::verification));
  }
}

TEST(Attacks, A12MalformedDigestsLeadNowhere) {
  for (const std::string digest :
       {"sha256:../../../../etc/passwd", "sha256:", "../x", "sha256:ABC", "md5:00",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000/.."}) {
    const std::string body =
        R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)"
        R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":")" +
        digest + R"("}]})";
    ScriptedRepository f([&](const SeenRequest&) {
      return Reply{.headers = {{"Content-Type", std::string(manifest::media_type::oci_index)}},
                   .body = body};
    });
    const auto target = make_memory_store("mem");
    EXPECT_THAT(transfer(*f.store, "t", *target, {.tags = {"t"}}, null_diagnostics()),
                fails_with(ErrorCode::invalid_input))
        << digest;
    for (const std::string& line : f.server.lines()) {
      EXPECT_TRUE(line.ends_with("/v2/a/b/manifests/t")) << line;
    }
  }
}

TEST(Attacks, A13EndlessAnswersAreBounded) {
  const Reply endless{
      .status = 200, .body = std::string(65'536, ' '), .fault = Reply::Fault::endless};
  ScriptedServer auth([&](const SeenRequest&) { return endless; });
  ScriptedServer asking([&](const SeenRequest&) {
    return Reply{.status = 401,
                 .headers = {{"WWW-Authenticate", "Bearer realm=\"" + auth.url("/t") + "\""}}};
  });
  TestClient client({.plain_http = true});
  EXPECT_THAT(client->ping(asking.address()), fails_with(ErrorCode::protocol));
  for (const int status : {200, 400, 404}) {
    ScriptedRepository f([&](const SeenRequest&) {
      Reply reply = endless;
      reply.status = status;
      return reply;
    });
    const auto tags = f.store->tags();
    ASSERT_FALSE(tags.has_value());
    EXPECT_LT(tags.error().describe().size(), 2000U);
  }
}

TEST(Attacks, A13HugeHeadersAreRefused) {
  ScriptedRepository f([](const SeenRequest&) {
    Reply reply{.body = R"({"tags":[]})"};
    for (int i = 0; i < 100; ++i) {
      reply.headers.emplace_back("X-" + std::to_string(i), std::string(4000, 'x'));
    }
    return reply;
  });
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::protocol));
}

TEST(Attacks, A13ConfigThatSaysItIsHugeIsNotFetched) {
  ScriptedRepository f([](const SeenRequest&) { return Reply{.body = "{}"}; });
  manifest::Descriptor config = blob_of("{}", manifest::media_type::oci_config);
  config.size = std::uint64_t{1} << 40;
  EXPECT_FALSE(read_config(*f.store, config).has_value());
}

/// A registry by https with a redirect to elsewhere, without any network.
Result<HttpResponse> leads_elsewhere(const HttpRequest& request) {
  if (request.url == "https://r.example/v2/") {
    return HttpResponse{.status = 200};
  }
  if (request.url.starts_with("https://r.example/")) {
    return HttpResponse{.status = 307, .headers = {{"Location", "https://cdn.example/data"}}};
  }
  return HttpResponse{.status = 200, .body = R"({"tags":["t"]})"};
}

struct LeadCase {
  std::string peer;    ///< where the registry answers
  std::string target;  ///< where it leads
  bool followed;
};

/// Redirects of what is read and Locations of uploads (A3).
TEST(Attacks, A3RegistryLeadsNowhereLessPublicThanItself) {
  const std::vector<LeadCase> cases{{"198.51.100.7", "http://127.0.0.1:9/x", false},
                                    {"198.51.100.7", "http://[::1]:9/x", false},
                                    {"198.51.100.7", "http://169.254.169.254/x", false},
                                    {"198.51.100.7", "http://10.0.0.1/x", false},
                                    {"198.51.100.7", "http://[::ffff:10.0.0.1]/x", false},
                                    {"198.51.100.7", "http://198.51.100.8/x", true},
                                    {"10.0.0.1", "http://10.0.0.2/x", true},
                                    {"10.0.0.1", "http://198.51.100.8/x", true},
                                    {"10.0.0.1", "http://127.0.0.1/x", false},
                                    {"10.0.0.1", "http://169.254.169.254/x", false},
                                    {"127.0.0.1", "http://127.0.0.2/x", true},
                                    {"127.0.0.1", "http://169.254.169.254/x", false},
                                    {"198.51.100.7", "http://named.example:5001/x", true},
                                    {"198.51.100.7", "http://10.0.0.9:5001/x", true}};
  for (const LeadCase& c : cases) {
    for (const std::string method : {"GET", "HEAD", "POST"}) {
      const auto transport = std::make_shared<PlayedTransport>(
          [&](const HttpRequest& request) -> Result<HttpResponse> {
            if (request.method == method && request.url.starts_with("http://r.example/")) {
              return HttpResponse{.status = method == "POST" ? 202 : 307,
                                  .headers = {{"Location", c.target}},
                                  .peer = c.peer};
            }
            return HttpResponse{.status = request.method == "PUT" ? 201 : 404};
          });
      RecordingDiagnostics diagnostics;
      Client client(transport, {},
                    {.plain_http = true, .auth_realms = {"named.example", "10.0.0.9:5001"}},
                    diagnostics);
      const auto store =
          unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
      const std::string bytes = "some bytes";
      ErrorCode code = ErrorCode::not_found;
      if (method == "POST") {
        const auto put = store->put_blob(blob_of(bytes), *memory_content(bytes), {});
        code = put ? code : put.error().code();
      } else if (method == "HEAD") {
        const auto there = store->has_blob(blob_of(bytes));
        code = there ? code : there.error().code();
      } else {
        code = store->tags().error().code();
      }
      EXPECT_EQ(code, c.followed ? ErrorCode::not_found : ErrorCode::unauthorized)
          << method << " " << c.peer << " " << c.target;
      const bool asked = std::ranges::any_of(transport->asked(), [&](const HttpRequest& request) {
        return request.url.starts_with(c.target);
      });
      EXPECT_EQ(asked, c.followed) << method << " " << c.peer << " " << c.target;
    }
  }
}

/// Names are held to it when they are connected to.
TEST(Attacks, A3NamesAreHeldToTheRegistrysPlaceToo) {
  const auto transport =
      std::make_shared<PlayedTransport>([](const HttpRequest& request) -> Result<HttpResponse> {
        if (request.url.starts_with("http://r.example/")) {
          return HttpResponse{.status = 307,
                              .headers = {{"Location", "http://cdn.example/data"}},
                              .peer = "198.51.100.7"};
        }
        return HttpResponse{.status = 200, .body = R"({"tags":["t"]})"};
      });
  RecordingDiagnostics diagnostics;
  Client client(transport, {}, {.plain_http = true}, diagnostics);
  const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
  EXPECT_TRUE(store->tags().has_value());
  const auto asked = transport->asked();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_TRUE(asked[0].peers.is_any());
  EXPECT_TRUE(asked[1].peers.global);
  EXPECT_FALSE(asked[1].peers.site || asked[1].peers.loopback || asked[1].peers.link_local);
}

TEST(Attacks, A24InsecureIsForTheRegistryAlone) {
  const auto transport = std::make_shared<PlayedTransport>(leads_elsewhere);
  RecordingDiagnostics diagnostics;
  Client client(transport, {}, {.insecure = true}, diagnostics);
  const auto store = unwrap(client.repository(unwrap(manifest::Reference::parse("r.example/a"))));
  EXPECT_TRUE(store->tags().has_value());
  const auto asked = transport->asked();
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_FALSE(asked[1].tls.verify);
  EXPECT_EQ(asked[2].url, "https://cdn.example/data");
  EXPECT_TRUE(asked[2].tls.verify);
}

TEST(Attacks, A24FailedTlsIsNotFollowedByHttp) {
  for (const bool insecure : {false, true}) {
    const auto transport =
        std::make_shared<PlayedTransport>([](const HttpRequest& request) -> Result<HttpResponse> {
          if (request.url.starts_with("https:")) {
            return fail(ErrorCode::tls, "the certificate is not trusted");
          }
          return HttpResponse{.status = 200};
        });
    RecordingDiagnostics diagnostics;
    Client client(transport, {}, {.insecure = insecure}, diagnostics);
    EXPECT_EQ(client.ping("r.example").has_value(), insecure);
    for (const HttpRequest& request : transport->asked()) {
      EXPECT_TRUE(insecure || request.url.starts_with("https:")) << request.url;
    }
  }
}

TEST(Attacks, A25TagsCannotWriteOnTheTerminal) {
  ScriptedRepository f(
      [](const SeenRequest&) { return Reply{.body = "{\"tags\":[\"\\u001b[2J\",\"ok\"]}"}; });
  EXPECT_THAT(unwrap(f.store->tags()), ::testing::ElementsAre("ok"));
  ScriptedRepository failing([](const SeenRequest&) {
    return Reply{.status = 400, .body = "\x1b]0;title\x07 \xc2\x9b 2J"};
  });
  const auto refused = failing.store->tags();
  ASSERT_FALSE(refused.has_value());
  for (const char* control : {"\x1b", "\x07", "\xc2\x9b"}) {
    EXPECT_THAT(refused.error().describe(), Not(HasSubstr(control)));
  }
}

}  // namespace
}  // namespace fnimage::registry
