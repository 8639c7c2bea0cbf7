// PUTs of manifests that do not go as they should: answers that are lost, content that a registry
// does not find for a moment, or has lost.
#include <atomic>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/memory_registry.hpp>

#include "scripted_repository.hpp"

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::SeenRequest;
using test::unwrap;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// What docker-registry says while another client puts a blob of the image again.
Reply content_unknown() {
  return {.status = 400,
          .body = R"({"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]})"};
}

TEST(ManifestPut, ImageWhoseBlobsAreNotFoundForAMomentIsPutAgain) {
  const manifest::Document image = image_of("{}", {"layer"});
  ScriptedRepository r;
  const std::string put = "PUT /v2/a/b/manifests/t";
  r.server.expect(put, content_unknown())
      .expect(put, content_unknown())
      .expect(put, {.status = 201});
  EXPECT_THAT(r.store->put_manifest(image, "t"), is_ok());
  EXPECT_EQ(r.server.requests().back().body, image.bytes());
  EXPECT_THAT(r.server.problems(), IsEmpty());
}

TEST(ManifestPut, BlobsThatTheRegistryHasLostAreNamed) {
  const manifest::Document image = image_of("{}", {"kept", "lost"});
  const ScriptedRepository r([&](const SeenRequest& request) {
    if (request.method == "PUT") {
      return content_unknown();
    }
    const bool lost = request.target.ends_with(blob_of("lost").digest.hex());
    return Reply{.status = lost ? 404 : 200};
  });
  const auto put = r.store->put_manifest(image, "t");
  EXPECT_THAT(
      put, fails_with(ErrorCode::protocol, AllOf(HasSubstr("needs " + blob_of("lost").digest.str() +
                                                           ", which is not in"),
                                                 Not(HasSubstr(blob_of("kept").digest.str())))));
  EXPECT_THAT(put.error().hint(), HasSubstr("push again"));
}

TEST(ManifestPut, AnswerThatAProxyReplacedForEverIsNoFailureWhenTheTagStands) {
  const manifest::Document image = image_of("{}", {});
  MemoryRegistry registry({.spoil = [](const SeenRequest& request, Reply& reply) {
    if (request.method == "PUT") {
      reply = {.status = 504};
    }
  }});
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/a");
  EXPECT_THAT(store->put_manifest(image, "t"), is_ok());
  EXPECT_EQ(registry.tag("a", "t"), image.digest().str());
  EXPECT_THAT(store->put_manifest(image, std::nullopt), is_ok());
}

TEST(ManifestPut, FailureIsOneWhenTheTagStandsElsewhere) {
  const manifest::Document image = image_of("{}", {});
  std::atomic<bool> down = false;
  MemoryRegistry registry({.instead = [&](const SeenRequest& request) -> std::optional<Reply> {
    return down && request.method == "PUT" ? std::optional(Reply{.status = 504}) : std::nullopt;
  }});
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/a");
  EXPECT_THAT(store->put_manifest(image_of("{}", {"other"}), "t"), is_ok());
  down = true;
  EXPECT_THAT(store->put_manifest(image, "t"), fails_with(ErrorCode::unavailable));
}

TEST(ManifestPut, OwnLostAnswerDoesNotMakeAConditionFail) {
  const manifest::Document image = image_of("{}", {});
  const std::string put = "PUT /v2/a/b/manifests/t";
  const std::vector<std::pair<std::string, std::string>> headers{
      {"Content-Type", image.media_type()},
      {"Content-Length", std::to_string(image.bytes().size())}};
  for (const bool ours : {true, false}) {
    ScriptedRepository r;
    auto found = headers;
    found.emplace_back("Docker-Content-Digest",
                       ours ? image.digest().str() : image_of("{}", {"x"}).digest().str());
    r.server.expect(put, {.fault = Reply::Fault::reset})
        .expect(put, {.status = 412})
        .expect("HEAD /v2/a/b/manifests/t", {.headers = found});
    EXPECT_EQ(unwrap(r.store->put_manifest_if(image, "t", std::nullopt)), ours);
    EXPECT_THAT(r.server.problems(), IsEmpty());
  }
}

TEST(ManifestPut, TagsWhoseUrlWasTooLongGoOneByOneFromThenOn) {
  const manifest::Document image = image_of("{}", {});
  for (const int status : {414, 431}) {
    MemoryRegistry registry(
        {.many_tags = true, .instead = [&](const SeenRequest& request) -> std::optional<Reply> {
           return request.target.find("?tag=") != std::string::npos
                      ? std::optional(Reply{.status = status})
                      : std::nullopt;
         }});
    TestClient client({.plain_http = true});
    const auto store = client.repository(registry.address() + "/a");
    for (int run = 0; run < 2; ++run) {
      EXPECT_THAT(store->put_tags(image, {"a", "b"}), is_ok());
    }
    EXPECT_EQ(registry.count("PUT"), 1U + 4U);
  }
}

TEST(ManifestGet, ByteThatWasFlippedSoThatItIsNoJsonIsAskedForAgain) {
  const manifest::Document image = image_of("{}", {});
  ScriptedRepository r;
  Reply broken = reply_with(image);
  broken.body.front() = 'x';
  r.server.expect("GET /v2/a/b/manifests/t", broken)
      .expect("GET /v2/a/b/manifests/t", reply_with(image));
  EXPECT_EQ(unwrap(r.store->get_manifest("t")).bytes(), image.bytes());
  EXPECT_THAT(r.server.problems(), IsEmpty());
}

}  // namespace
}  // namespace fnimage::registry
