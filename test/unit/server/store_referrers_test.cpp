// Referrers (distribution-spec, Listing Referrers), also those that other tools list under a tag.
#include <fstream>

#include <gmock/gmock.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/fallback_tag.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

using manifest::Digest;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class StoreReferrersTest : public StoreTest {
 protected:
  std::vector<manifest::Descriptor> referrers(const Digest& to) {
    return unwrap(repository()->referrers(to));
  }
  std::vector<std::string> digests(const Digest& to) {
    std::vector<std::string> found;
    for (const auto& descriptor : referrers(to)) {
      found.push_back(descriptor.digest.str());
    }
    return found;
  }
  void put(const NewManifest& manifest) { unwrap(repository()->put_manifest(manifest, {})); }
  const Digest target_ = Digest::of("not here");
};

TEST_F(StoreReferrersTest, HaveArtifactTypeAndAnnotations) {
  EXPECT_THAT(referrers(target_), IsEmpty());
  const auto typed =
      image("a", {},
            R"(,"artifactType":"application/x.sbom","annotations":{"k":"v"})" + subject(target_));
  const auto untyped = image("b", {"tagged"}, subject(target_));
  NewManifest list{
      .bytes = R"({"schemaVersion":2,"manifests":[],"artifactType":"application/x.list")" +
               subject(target_) + "}",
      .media_type = std::string(manifest::media_type::oci_index),
      .digest = target_,
      .tags = {}};
  list.digest = Digest::of(list.bytes);
  NewManifest plain_list = list;
  plain_list.bytes = R"({"schemaVersion":2,"manifests":[])" + subject(target_) + "}";
  plain_list.digest = Digest::of(plain_list.bytes);
  for (const auto& one : {typed, untyped, list, plain_list}) {
    put(one);
  }
  put(image("unrelated", {"v1"}));
  for (const bool is_restarted : {false, true}) {
    if (is_restarted) {
      restart();
    }
    const auto found = referrers(target_);
    ASSERT_EQ(found.size(), 4U);
    EXPECT_TRUE(std::ranges::is_sorted(found, {}, &manifest::Descriptor::digest));
    for (const auto& one : found) {
      if (one.digest == typed.digest) {
        EXPECT_EQ(one.artifact_type, "application/x.sbom");
        EXPECT_THAT(one.annotations, ElementsAre(Pair("k", "v")));
        EXPECT_EQ(one.size, typed.bytes.size());
        EXPECT_EQ(one.media_type, typed.media_type);
      } else if (one.digest == untyped.digest) {
        EXPECT_EQ(one.artifact_type, manifest::media_type::oci_config) << "the config's";
        EXPECT_THAT(one.annotations, IsEmpty());
      } else {
        EXPECT_EQ(one.media_type, manifest::media_type::oci_index);
        EXPECT_EQ(one.artifact_type, one.digest == list.digest ? "application/x.list" : "");
      }
    }
  }
}

TEST_F(StoreReferrersTest, FollowEveryChange) {
  const auto a = image("a", {}, subject(target_));
  const auto b = image("b", {"v1"}, subject(target_));
  put(a);
  EXPECT_THAT(digests(target_), ElementsAre(a.digest.str()));
  put(b);
  EXPECT_EQ(digests(target_).size(), 2U);
  unwrap(repository()->remove_tag("v1", {}));
  EXPECT_EQ(digests(target_).size(), 2U) << "it is here still";
  unwrap(repository()->remove_manifest(a.digest, {}));
  EXPECT_THAT(digests(target_), ElementsAre(b.digest.str()));
  unwrap(repository()->remove_manifest(b.digest, {}));
  EXPECT_THAT(digests(target_), IsEmpty());
  put(a);
  EXPECT_THAT(digests(target_), ElementsAre(a.digest.str()));
}

TEST_F(StoreReferrersTest, OfSha512AndWithSha512) {
  const Digest target = sha512_of("x");
  auto put = image("a", {}, subject(target));
  put.digest = sha512_of(put.bytes);
  unwrap(repository()->put_manifest(put, {}));
  EXPECT_THAT(digests(target), ElementsAre(put.digest.str()));
}

TEST_F(StoreReferrersTest, ChildrenOfListsCountToo) {
  repository();
  const auto layout = unwrap(
      registry::OciLayout::open(path() / "team/action", registry::OciLayout::Mode::existing));
  const auto child = image("a", {}, subject(target_));
  unwrap(layout->put_manifest(
      unwrap(manifest::Document::from_bytes(child.bytes, child.media_type, "child")), {}));
  manifest::Index list;
  list.manifests.push_back(
      {.media_type = child.media_type, .digest = child.digest, .size = child.bytes.size()});
  unwrap(layout->put_manifest(manifest::Document::of(list), "list"));
  EXPECT_THAT(digests(target_), ElementsAre(child.digest.str()));
  unwrap(layout->remove_tag("list"));
  EXPECT_THAT(digests(target_), IsEmpty());
}

TEST_F(StoreReferrersTest, ListsUnderTheFallbackTagCount) {
  repository();
  const auto here = image("here");
  put(here);  // without a subject: only the list says that it refers to anything
  manifest::Index list;
  list.manifests.push_back({.media_type = here.media_type,
                            .digest = here.digest,
                            .size = here.bytes.size(),
                            .annotations = {{"k", "v"}}});
  list.manifests.back().artifact_type = "application/x.sbom";
  list.manifests.push_back(
      {.media_type = here.media_type, .digest = Digest::of("gone"), .size = 4});
  const auto layout = unwrap(
      registry::OciLayout::open(path() / "team/action", registry::OciLayout::Mode::existing));
  unwrap(layout->put_manifest(manifest::Document::of(list), registry::referrers_tag(target_)));
  const auto found = referrers(target_);
  ASSERT_EQ(found.size(), 1U) << "what is gone is not listed";
  EXPECT_EQ(found[0].digest, here.digest);
  EXPECT_EQ(found[0].artifact_type, "application/x.sbom");
  EXPECT_THAT(found[0].annotations, ElementsAre(Pair("k", "v")));
  EXPECT_THAT(referrers(Digest::of("another")), IsEmpty());
}

TEST_F(StoreReferrersTest, WhatCannotBeReadRefersToNothing) {
  NewManifest odd = image("a");
  for (const std::string bytes :
       {"not json", "[]", R"({"subject":7})", R"({"subject":{"digest":"sha256:xyz"}})",
        R"({"subject":{"digest":["a"]},"artifactType":7,"annotations":[],"manifests":{}})"}) {
    for (const auto type : {manifest::media_type::oci_manifest, manifest::media_type::oci_index}) {
      odd.bytes = bytes;
      odd.media_type = std::string(type);
      odd.digest = Digest::of(odd.bytes);
      put(odd);
    }
  }
  const auto right = image("right", {}, subject(target_));
  put(right);
  EXPECT_THAT(digests(target_), ElementsAre(right.digest.str()));
}

TEST_F(StoreReferrersTest, ManifestThatComesLaterIsFound) {
  // A list may be put before what it names.
  const auto child = image("a", {}, subject(target_));
  manifest::Index list;
  list.manifests.push_back(
      {.media_type = child.media_type, .digest = child.digest, .size = child.bytes.size()});
  NewManifest sparse{.bytes = emit(list),
                     .media_type = std::string(manifest::media_type::oci_index),
                     .digest = Digest::of(emit(list)),
                     .tags = {"list"}};
  put(sparse);
  EXPECT_THAT(digests(target_), IsEmpty());
  put(child);
  EXPECT_THAT(digests(target_), ElementsAre(child.digest.str()));
}

TEST_F(StoreReferrersTest, ListsNestedAsDeepAsSomebodyLikes) {
  Digest inner = target_;
  std::size_t size = 3;
  for (int depth = 0; depth < 300; ++depth) {
    manifest::Index list;
    list.manifests.push_back({.media_type = std::string(manifest::media_type::oci_index),
                              .digest = inner,
                              .size = size});
    const std::string bytes = emit(list);
    inner = Digest::of(bytes);
    size = bytes.size();
    put({.bytes = bytes,
         .media_type = std::string(manifest::media_type::oci_index),
         .digest = inner,
         .tags = {"deepest"}});
  }
  EXPECT_THAT(referrers(target_), IsEmpty());
}

}  // namespace
}  // namespace fnimage::server
