// The pure parts of the registry's API: paths, queries, header fields, and what a manifest refers
// to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/media_types.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "api/content.hpp"
#include "api/fields.hpp"
#include "api/target.hpp"

namespace fnimage::server {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

const std::string digest_text = "sha256:" + std::string(64, 'a');

manifest::Digest digest_of(char c) {
  return *manifest::Digest::parse("sha256:" + std::string(64, c));
}

struct PathCase {
  std::string path;
  Endpoint endpoint;
  std::string repository;
  std::string reference;
};

TEST(Target, PathsOfTheApi) {
  for (const PathCase& one : std::vector<PathCase>{
           {"/v2", Endpoint::base, "", ""},
           {"/v2/", Endpoint::base, "", ""},
           {"/v2/_catalog", Endpoint::catalog, "", ""},
           {"/v2/a/tags/list", Endpoint::tags, "a", ""},
           {"/v2/a/b/tags/list", Endpoint::tags, "a/b", ""},
           {"/v2/a/manifests/latest", Endpoint::manifest, "a", "latest"},
           {"/v2/a/manifests/" + digest_text, Endpoint::manifest, "a", digest_text},
           {"/v2/a/manifests/sha256%3Aff", Endpoint::manifest, "a", "sha256:ff"},
           {"/v2/manifests/manifests/manifests", Endpoint::manifest, "manifests", "manifests"},
           {"/v2/a/blobs/" + digest_text, Endpoint::blob, "a", digest_text},
           {"/v2/blobs/uploads/blobs/x", Endpoint::blob, "blobs/uploads", "x"},
           {"/v2/a/blobs/uploads", Endpoint::uploads, "a", ""},
           {"/v2/a/blobs/uploads/", Endpoint::uploads, "a", ""},
           {"/v2/a/b/blobs/uploads/f00", Endpoint::upload, "a/b", "f00"},
           {"/v2/a/referrers/" + digest_text, Endpoint::referrers, "a", digest_text},
           {"/v2/../a/tags/list", Endpoint::tags, "../a", ""},
           {"/v2/%2e%2e/a/tags/list", Endpoint::tags, "../a", ""},
       }) {
    const auto target = parse_target(one.path);
    ASSERT_TRUE(target) << one.path;
    EXPECT_EQ(target->endpoint, one.endpoint) << one.path;
    EXPECT_EQ(target->repository, one.repository) << one.path;
    EXPECT_EQ(target->reference, one.reference) << one.path;
  }
}

TEST(Target, OtherPaths) {
  for (const char* path :
       {"", "/", "/v1/", "/v2x", "/v2/a", "/v2/tags/list", "/v2/manifests/x", "/v2/a/manifests/%zz",
        "/v2/a/manifests/%4", "/v2/a/tags/other", "/v2/a%2Fb/tags/list", "/v2/a%2f..%2fb/tags/list",
        "/v2/a/manifests%2fx", "/v2/a/manifests/x%2Fy"}) {
    EXPECT_FALSE(parse_target(path)) << path;
  }
}

TEST(Query, Parameters) {
  const Query query("n=3&tag=a&tag=b%2Bc&artifactType=application/x+json&=1&empty&bad=%z");
  EXPECT_EQ(query.get("n"), "3");
  EXPECT_THAT(query.all("tag"), ElementsAre("a", "b+c"));
  EXPECT_EQ(query.get("artifactType"), "application/x+json");
  EXPECT_EQ(query.get("empty"), "");
  EXPECT_EQ(query.get("bad"), std::nullopt);
  EXPECT_EQ(encode_query("a+b c/d&e"), "a%2Bb%20c/d%26e");
}

TEST(Range, OfABlob) {
  constexpr std::uint64_t size = 2048;
  const auto part = [&](std::string_view field) {
    const WantedRange wanted = wanted_range(field, size);
    EXPECT_EQ(wanted.kind, RangeKind::part) << field;
    return wanted.range;
  };
  EXPECT_EQ(part("bytes=500-1499"), (ByteRange{.offset = 500, .size = 1000}));
  EXPECT_EQ(part("bytes=500-"), (ByteRange{.offset = 500, .size = 1548}));
  EXPECT_EQ(part("bytes=-500"), (ByteRange{.offset = 1548, .size = 500}));
  EXPECT_EQ(part("bytes=-5000"), (ByteRange{.offset = 0, .size = 2048}));
  EXPECT_EQ(part("bytes=2000-5000"), (ByteRange{.offset = 2000, .size = 48}));
  for (const char* field : {"bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"}) {
    EXPECT_EQ(wanted_range(field, size).kind, RangeKind::unsatisfiable) << field;
  }
  for (const char* field : {"", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,5-6",
                            "bytes=99999999999999999999-"}) {
    EXPECT_EQ(wanted_range(field, size).kind, RangeKind::whole) << field;
  }
  EXPECT_EQ(wanted_range("bytes=0-", 0).kind, RangeKind::unsatisfiable);
}

TEST(Range, OfAnUpload) {
  EXPECT_EQ(upload_range("0-0"), (ByteRange{.offset = 0, .size = 1}));
  EXPECT_EQ(upload_range("10-19"), (ByteRange{.offset = 10, .size = 10}));
  for (const char* field :
       {"", "-", "5", "5-", "-5", "5-4", "a-b", "0-1/2", "bytes 0-1", "0-18446744073709551615"}) {
    EXPECT_FALSE(upload_range(field)) << field;
  }
}

Request request_with(std::string name, std::string value) {
  Request request;
  request.headers.push_back({std::move(name), std::move(value)});
  return request;
}

TEST(Conditions, OfAChange) {
  const auto a = digest_of('a');
  const auto b = digest_of('b');
  const auto holds = [&](const char* name, const std::string& value, const auto& current) {
    return condition_of(request_with(name, value)).holds(current);
  };
  const std::optional<manifest::Digest> none;
  EXPECT_TRUE(condition_of(Request{}).holds(none));
  EXPECT_TRUE(holds("If-Match", "\"" + a.str() + "\"", std::optional(a)));
  EXPECT_FALSE(holds("if-match", "\"" + a.str() + "\"", std::optional(b)));
  EXPECT_FALSE(holds("If-Match", "\"" + a.str() + "\"", none));
  EXPECT_TRUE(holds("If-Match", "\"x\" , \"" + b.str() + "\"", std::optional(b)));
  EXPECT_TRUE(holds("If-Match", "*", std::optional(b)));
  EXPECT_FALSE(holds("If-Match", "*", none));
  EXPECT_FALSE(holds("If-Match", "\"x\"", std::optional(a)));
  EXPECT_TRUE(holds("If-None-Match", "*", none));
  EXPECT_FALSE(holds("If-None-Match", "*", std::optional(a)));
  EXPECT_TRUE(holds("If-None-Match", "\"" + a.str() + "\"", std::optional(b)));
  EXPECT_TRUE(is_not_modified(request_with("If-None-Match", "W/\"" + a.str() + "\""), a));
  EXPECT_FALSE(is_not_modified(request_with("If-None-Match", "\"x\""), a));
}

std::string descriptor(char c, std::string_view type, std::string_view more = {}) {
  return R"({"mediaType":")" + std::string(type) + R"(","size":1,"digest":"sha256:)" +
         std::string(64, c) + "\"" + std::string(more) + "}";
}

TEST(Content, WhatAnImageRefersTo) {
  const std::string image =
      R"({"schemaVersion":2,"config":)" + descriptor('a', manifest::media_type::oci_config) +
      R"(,"layers":[)" + descriptor('b', manifest::media_type::oci_layer) + "," +
      descriptor('c', "application/vnd.oci.image.layer.nondistributable.v1.tar") + "," +
      descriptor('d', manifest::media_type::oci_layer, R"(,"urls":["https://host/x"])") +
      R"(],"subject":)" + descriptor('e', manifest::media_type::oci_manifest) + "}";
  const auto content = read_content(image, manifest::media_type::oci_manifest);
  ASSERT_TRUE(content) << content.error().describe();
  EXPECT_THAT(content->blobs, SizeIs(2));
  EXPECT_EQ(content->subject->digest, digest_of('e'));
}

TEST(Content, WhatIsRefused) {
  const std::string both = R"({"schemaVersion":2,"manifests":[],"layers":[],"config":)" +
                           descriptor('a', manifest::media_type::oci_config) + "}";
  EXPECT_THAT(read_content(both, manifest::media_type::oci_index),
              test::fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read_content(both, manifest::media_type::oci_manifest),
              test::fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read_content(R"({"schemaVersion":2,"manifests":[],"manifests":[]})", {}),
              test::fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read_content("[]", {}), test::fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(read_content(R"({"schemaVersion":2,"mediaType":"application/x"})", {}),
              test::fails_with(ErrorCode::unsupported));
}

}  // namespace
}  // namespace fnimage::server
