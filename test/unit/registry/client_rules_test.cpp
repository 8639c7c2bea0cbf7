// The client rules of the distribution specification that have no test beside what they are about.
// The others: C1 Reference.*, C2 Manifests.TagsAreChecked, C3 C4 Manifests.AcceptNamesAllTypes…,
// C7 Manifests.LyingDigests…, C8 Downloads.*, C9 Manifests.HeadThat…, UploadLadder.HeadThat…, C10
// C11 Upload.HeadThenMountPost…, C12 UploadLadder.SmallNewBlobs…, C13 C14 C17
// UploadLadder.ChunksGo…, C16 UploadLadder.BreakIsFollowed…, C18 Upload.RefusalEndsIt…, C20
// TransferTest.BlobsThenImages…, C21 Manifests.PutUsesExactType…, C22 TransferTest.ThroughALayout…,
// C25 Referrers.AreListed…, C28 Canary.*, C29 ErrorAnswers.*, C31 Warnings.*, C32 the fallbacks in
// all of these.
#include <atomic>
#include <set>

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
using test::SeenRequest;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string sha512_text(std::string_view bytes) {
  auto hasher = manifest::Hasher::for_digest(
      unwrap(manifest::Digest::parse("sha512:" + std::string(128, '0'))));
  hasher.update(as_bytes(bytes));
  return hasher.finish().str();
}

TEST(ClientRules, C5BodyAndContentTypeMustAgree) {
  const manifest::Document image = image_of("{}", {"l"});
  for (const std::string_view type :
       {manifest::media_type::oci_index, manifest::media_type::docker_manifest}) {
    ScriptedRepository f;
    f.server.expect("GET /v2/a/b/manifests/t",
                    {.headers = {{"Content-Type", std::string(type)}}, .body = image.bytes()});
    EXPECT_THAT(f.store->get_manifest("t"), fails_with(ErrorCode::invalid_input));
  }
}

TEST(ClientRules, C6DigestHeaderMayBeOfAnotherAlgorithmButMustBeRight) {
  const manifest::Document image = image_of("{}", {"l"});
  for (const bool right : {true, false}) {
    ScriptedRepository f([&](const SeenRequest&) {
      Reply reply = reply_with(image);
      reply.headers.emplace_back("Docker-Content-Digest",
                                 sha512_text(right ? image.bytes() : "other"));
      return reply;
    });
    const auto got = f.store->get_manifest("t");
    if (right) {
      EXPECT_EQ(unwrap(got).bytes(), image.bytes());
    } else {
      EXPECT_THAT(got, fails_with(ErrorCode::verification, HasSubstr("sha512:")));
    }
  }
}

TEST(ClientRules, C15OtherAlgorithmsAreNamedWhenAnUploadBegins) {
  const std::string bytes = "some bytes";
  manifest::Descriptor blob = blob_of(bytes);
  blob.digest = unwrap(manifest::Digest::parse(sha512_text(bytes)));
  std::atomic<bool> named = false;
  ScriptedRepository f([&](const SeenRequest& request) -> Reply {
    if (request.method == "POST") {
      named = request.target.find("digest-algorithm=sha512") != std::string::npos;
      return {.status = 202, .headers = {{"Location", "/up"}}};
    }
    return {.status = request.method == "PUT" ? 201 : 404};
  });
  EXPECT_THAT(f.store->put_blob(blob, *memory_content(bytes), {}), is_ok());
  EXPECT_TRUE(named);
}

TEST(ClientRules, C19MountThatIsNotDoneIsTheSessionToGoOnWith) {
  const std::string bytes = "some bytes";
  const manifest::Descriptor blob = blob_of(bytes);
  const std::string escaped = "sha256%3A" + std::string(blob.digest.hex());
  ScriptedRepository f;
  f.server.expect("HEAD /v2/a/b/blobs/" + blob.digest.str(), {.status = 404})
      .expect("POST /v2/a/b/blobs/uploads/?mount=" + escaped + "&from=other",
              {.status = 202, .headers = {{"Location", "/up/1"}}})
      .expect("PUT /up/1?digest=" + escaped, {.status = 201});
  EXPECT_EQ(unwrap(f.store->put_blob(blob, *memory_content(bytes),
                                     {.mount_from = RepositoryName{f.server.address(), "other"}})),
            BlobOutcome::uploaded);
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(ClientRules, C23ManifestsOf4MiBPassAndLargerOnesAreTold) {
  manifest::ImageManifest image{.config = blob_of("{}", manifest::media_type::oci_config),
                                .layers = {}};
  const std::size_t frame = emit(image).size();
  image.annotations["x"] = "";
  const std::size_t overhead = emit(image).size() - frame;
  image.annotations["x"] = std::string(manifest::max_document_bytes - frame - overhead, 'x');
  const manifest::Document large = manifest::Document::of(image);
  ASSERT_EQ(large.bytes().size(), manifest::max_document_bytes);
  ScriptedRepository f;
  f.server.expect("PUT /v2/a/b/manifests/t", {.status = 201})
      .expect("GET /v2/a/b/manifests/t", reply_with(large))
      .expect("PUT /v2/a/b/manifests/t", {.status = 413});
  EXPECT_THAT(f.store->put_manifest(large, "t"), is_ok());
  EXPECT_EQ(unwrap(f.store->get_manifest("t")).digest(), large.digest());
  EXPECT_THAT(f.store->put_manifest(large, "t"),
              fails_with(ErrorCode::unsupported, HasSubstr("413")));
}

TEST(ClientRules, C24TagsThatAreNotConfirmedArePutOneByOne) {
  const manifest::Document image = image_of("{}", {"l"});
  const std::string base = "PUT /v2/a/b/manifests/";
  const std::string many = base + image.digest().str() + "?tag=a&tag=b";
  {
    ScriptedRepository f;
    f.server.expect(many, {.status = 201, .headers = {{"OCI-Tag", "b"}}})
        .expect(base + "a", {.status = 201});
    EXPECT_THAT(f.store->put_tags(image, {"a", "b"}), is_ok());
    EXPECT_THAT(f.server.problems(), IsEmpty());
  }
  for (const int too_long : {414, 431}) {
    ScriptedRepository f;
    f.server.expect(many, {.status = too_long})
        .expect(base + "a", {.status = 201})
        .expect(base + "b", {.status = 201});
    EXPECT_THAT(f.store->put_tags(image, {"a", "b"}), is_ok());
    EXPECT_THAT(f.server.problems(), IsEmpty());
  }
}

TEST(ClientRules, C26ReferrersTagIsCutTo64Characters) {
  const std::string digest = sha512_text("subject");
  ScriptedRepository f;
  f.server.expect("GET /v2/a/b/referrers/" + digest, {.status = 404})
      .expect("GET /v2/a/b/manifests/sha512-" + digest.substr(7, 64), {.status = 404});
  EXPECT_THAT(unwrap(f.store->referrers(unwrap(manifest::Digest::parse(digest)))), IsEmpty());
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(ClientRules, C27FollowsRelativeLinksAndShortPages) {
  ScriptedRepository f;
  f.server
      .expect("GET /v2/a/b/tags/list?n=1000",
              {.headers = {{"Link", "<list?last=x&n=1>; rel=\"next\""}}, .body = R"({"tags":[]})"})
      .expect("GET /v2/a/b/tags/list?last=x&n=1", {.body = R"({"tags":["y"]})"});
  EXPECT_THAT(unwrap(f.store->tags()), ElementsAre("y"));
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(ClientRules, C27EndlessPagesEnd) {
  std::atomic<int> page = 0;
  ScriptedRepository f([&](const SeenRequest&) {
    return Reply{.headers = {{"Link", "<list?last=" + std::to_string(page++) + ">; rel=next"}},
                 .body = R"({"tags":["t"]})"};
  });
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::protocol, HasSubstr("pages")));
  EXPECT_LE(page, 1000);
}

TEST(ClientRules, C30BothFormsOfRetryAfterAreKept) {
  const std::string date = "Tue, 14 Nov 2023 22:13:20 GMT";
  const std::string next_day = "Wed, 15 Nov 2023 22:13:20 GMT";
  const std::string line = "GET /v2/a/b/tags/list?n=1000";
  ScriptedRepository f;
  f.server.expect(line, {.status = 429, .headers = {{"Date", date}, {"Retry-After", date}}})
      .expect(line, {.body = R"({"tags":["t"]})"})
      .expect(line, {.status = 429, .headers = {{"Date", date}, {"Retry-After", next_day}}});
  EXPECT_THAT(unwrap(f.store->tags()), ElementsAre("t"));
  EXPECT_THAT(f.store->tags(), fails_with(ErrorCode::rate_limited));  // not waited for
  EXPECT_THAT(f.server.problems(), IsEmpty());
}

TEST(ClientRules, C33NothingIsSaidThatOnlyAProxyShouldHear) {
  MemoryRegistry registry;
  TestClient client({.plain_http = true});
  const auto store = client.repository(registry.address() + "/a");
  test::put_list(*store, "v1");
  const auto target = make_memory_store("mem");
  EXPECT_THAT(transfer(*store, "v1", *target, {.tags = {"v1"}}, null_diagnostics()), is_ok());
  EXPECT_THAT(store->tags(), Not(is_ok()));  // asked for all the same; this registry has no lists
  for (const std::string& line : registry.server().lines()) {
    EXPECT_THAT(line, Not(HasSubstr("ns=")));
  }
}

}  // namespace
}  // namespace fnimage::registry
