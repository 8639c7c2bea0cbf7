// copy(): every place to every other, platforms, referrers, several tags.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/archive/copy.hpp>
#include <fnimage/archive/write.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/test/docker_registry.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "archive_fixture.hpp"

namespace fnimage::archive {
namespace {

using registry::OciLayout;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Copying : public ArchiveFixture {
 protected:
  void SetUp() override {
    layout_ = unwrap(OciLayout::open(directory_ / "from", OciLayout::Mode::create));
    list_.emplace(test::put_list(*layout_, "v1"));
  }
  Result<CopyResult> copy(const std::string& from, const std::string& to,
                          const CopyOptions& options = {}) {
    return archive::copy(location(from), location(to), options, {client_, local_store_},
                         null_diagnostics());
  }
  [[nodiscard]] static std::vector<manifest::Platform> platforms(
      const std::vector<std::string>& names) {
    std::vector<manifest::Platform> parsed;
    for (const std::string& name : names) {
      parsed.push_back(unwrap(manifest::Platform::parse(name)));
    }
    return parsed;
  }
  /// An artifact that refers to a manifest of `layout_`.
  manifest::Descriptor put_referrer(const manifest::Descriptor& subject, const std::string& type) {
    const manifest::ImageManifest referrer{
        .config = test::put_bytes(*layout_, "{}", manifest::media_type::oci_empty),
        .layers = {test::put_bytes(*layout_, "about " + type, "text/plain")},
        .artifact_type = type,
        .subject = subject};
    const auto document = manifest::Document::of(referrer);
    unwrap(layout_->put_manifest(document, "tag-of-" + document.digest().str().substr(7, 8)));
    return document.descriptor();
  }

  std::unique_ptr<OciLayout> layout_;
  std::optional<manifest::Document> list_;
};

TEST_F(Copying, GoesRoundThroughEveryPlaceWithTheSameBytes) {
  const std::vector<std::string> places{"oci:from:v1",           "oci-archive:a.tar:v2",
                                        "local/action:v3",       "oci-archive:b.tar",
                                        "oci:other:with:colons", "oci-archive:c.tar:x"};
  for (std::size_t i = 1; i < places.size(); ++i) {
    EXPECT_EQ(unwrap(copy(places[i - 1], places[i])).root.digest, list_->digest()) << places[i];
    const auto opened = open(places[i]);
    EXPECT_EQ(unwrap(opened.store->get_manifest(opened.selector)).bytes(), list_->bytes());
    expect_whole(*opened.store, *list_);
  }
  EXPECT_THAT(unwrap(open("oci-archive:b.tar").store->tags()), ElementsAre("v3"));
}

TEST_F(Copying, OnePlatformIsAnImageSeveralAreAList) {
  const CopyResult one =
      unwrap(copy("oci:from:v1", "oci:one", {.shape = {.platforms = platforms({"ppc64le"})}}));
  const auto index = unwrap(list_->index());
  EXPECT_EQ(one.root.digest, index.manifests[1].digest);

  const CopyResult kept =
      unwrap(copy("oci:from:v1", "oci:kept:v1",
                  {.shape = {.platforms = platforms({"ppc64le"}), .keep_list = true}}));
  const auto opened = open("oci:kept:v1");
  const auto shorter = unwrap(unwrap(opened.store->get_manifest(opened.selector)).index());
  EXPECT_THAT(shorter.manifests, ElementsAre(index.manifests[1]));
  EXPECT_FALSE(unwrap(opened.store->resolve(index.manifests[0].digest)));

  const CopyResult both = unwrap(
      copy("oci:from:v1", "oci:both", {.shape = {.platforms = platforms({"ppc64le", "amd64"})}}));
  EXPECT_EQ(both.root.digest, list_->digest()) << "all of a list is that list";
  EXPECT_THAT(copy("oci:from:v1", "oci:none", {.shape = {.platforms = platforms({"s390x"})}}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/amd64, linux/ppc64le")));
  EXPECT_THAT(copy("oci:one", "oci:two", {.shape = {.platforms = platforms({"amd64"})}}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/ppc64le")));
}

TEST_F(Copying, DockerArchiveTakesOnePlatformUnderTheSourcesName) {
  unwrap(copy("oci:from:v1", "action:v7"));
  unwrap(
      copy("action:v7", "docker-archive:d.tar", {.shape = {.platforms = platforms({"ppc64le"})}}));
  const auto opened = open("docker-archive:d.tar:action:v7");
  EXPECT_THAT(copy("action:v7", "docker-archive:e.tar"), fails_with(ErrorCode::platform_mismatch));
  EXPECT_THAT(copy("action:v7", "docker-archive:e.tar:Upper:v1"),
              fails_with(ErrorCode::invalid_argument));
}

TEST_F(Copying, SeveralTags) {
  const CopyResult copied = unwrap(copy("oci:from:v1", "oci:to:a", {.tags = {"b", "c"}}));
  EXPECT_THAT(unwrap(unwrap(OciLayout::open(directory_ / "to", OciLayout::Mode::existing))->tags()),
              ElementsAre("a", "b", "c"));
  EXPECT_EQ(copied.names.size(), 3U);
  unwrap(copy("oci:from:v1", "action:a", {.tags = {"b"}}));
  EXPECT_THAT(unwrap(unwrap(OciLayout::open(local_store_, OciLayout::Mode::existing))->tags()),
              ElementsAre("action:a", "action:b"));
}

TEST_F(Copying, ReferrersGoAlongAndWhatRefersToThem) {
  const auto index = unwrap(list_->index());
  const auto sbom = put_referrer(index.manifests[0], "application/sbom");
  const auto signature = put_referrer(sbom, "application/signature");
  for (const std::string to : {"oci:to:v1", "oci-archive:a.tar:v1"}) {
    const CopyResult copied = unwrap(copy("oci:from:v1", to, {.referrers = true}));
    EXPECT_EQ(copied.referrers, 2U);
    const auto opened = open(to);
    const auto of_image = unwrap(opened.store->referrers(index.manifests[0].digest));
    ASSERT_EQ(of_image.size(), 1U) << to;
    EXPECT_EQ(of_image[0].digest, sbom.digest);
    EXPECT_EQ(of_image[0].artifact_type, "application/sbom");
    const auto of_sbom = unwrap(opened.store->referrers(sbom.digest));
    ASSERT_EQ(of_sbom.size(), 1U);
    expect_whole(*opened.store, unwrap(opened.store->get_manifest(signature.digest)));
    // Without naming a tag the image is found, not the lists of its referrers.
    EXPECT_EQ(unwrap(open(to.substr(0, to.rfind(':'))).store->tags()).size(), 3U);
  }
  unwrap(copy("oci:from:v1", "oci:without:v1"));
  EXPECT_TRUE(unwrap(open("oci:without:v1").store->referrers(index.manifests[0].digest)).empty());
}

TEST_F(Copying, CosignsTagsGoAlongAndAreCounted) {
  const auto index = unwrap(list_->index());
  const std::string signature = "sha256-" + list_->digest().str().substr(7) + ".sig";
  const manifest::ImageManifest signed_image{
      .config = test::put_bytes(*layout_, R"({"architecture":"","os":""})",
                                manifest::media_type::oci_config),
      .layers = {test::put_bytes(*layout_, "a signature", "application/vnd.dev.cosign")}};
  const auto document = manifest::Document::of(signed_image);
  unwrap(layout_->put_manifest(document, signature));
  const auto about = unwrap(layout_->resolve(signature));
  const std::string attestation = "sha256-" + about->digest.str().substr(7) + ".att";
  unwrap(layout_->put_manifest(document, attestation));
  for (const std::string to : {"oci:to:v1", "oci-archive:a.tar:v1"}) {
    const CopyResult plain = unwrap(copy("oci:from:v1", "oci:plain-" + to.substr(4, 3) + ":v1"));
    const CopyResult copied = unwrap(copy("oci:from:v1", to, {.referrers = true}));
    EXPECT_EQ(copied.referrers, 1U) << "one manifest under two tags";
    EXPECT_EQ(copied.transferred.blobs_uploaded, plain.transferred.blobs_uploaded + 2) << to;
    const auto opened = open(to);
    EXPECT_THAT(unwrap(opened.store->tags()),
                ::testing::UnorderedElementsAre(attestation, signature, "v1"));
    EXPECT_TRUE(reads_all(*opened.store, signature));
    EXPECT_EQ(unwrap(open(to.substr(0, to.rfind(':'))).store->tags()).size(), 3U)
        << "without a tag the image is meant";
  }
  EXPECT_THAT(copy("oci:from:v1", "docker-archive:d.tar",
                   {.shape = {.platforms = platforms({"amd64"})}, .referrers = true}),
              ::testing::Truly([](const auto& result) { return result.has_value(); }))
      << "nothing refers to that platform";
  put_referrer(index.manifests[0], "application/sbom");
  EXPECT_THAT(copy("oci:from:v1", "docker-archive:d.tar",
                   {.shape = {.platforms = platforms({"amd64"})}, .referrers = true}),
              fails_with(ErrorCode::unsupported, HasSubstr("refers to an image")));
}

TEST_F(Copying, SeveralAtOnceShareTheirBlobs) {
  auto other = unwrap(OciLayout::open(directory_ / "other", OciLayout::Mode::create));
  manifest::Index one;
  one.put(test::put_image(*other, "linux/amd64"));
  unwrap(other->put_manifest(manifest::Document::of(one), "v2"));
  const std::vector<CopyItem> items{{location("oci:from:v1"), location("oci:to:v1")},
                                    {location("oci:other:v2"), location("oci:to:v2")}};
  const auto copied = unwrap(copy_all(items, {}, {client_, local_store_}, null_diagnostics()));
  ASSERT_EQ(copied.size(), 2U);
  EXPECT_EQ(copied[0].transferred.blobs_uploaded, 5U);
  EXPECT_EQ(copied[1].transferred.blobs_uploaded + copied[1].transferred.blobs_existed, 0U)
      << "the second has nothing of its own";
  expect_whole(*open("oci:to:v1").store, *list_);
  EXPECT_TRUE(reads_all(*open("oci:to:v2").store, std::string("v2")));
}

TEST_F(Copying, RefusesPlacesThatWereHardlyMeant) {
  EXPECT_THAT(copy("oci:from:v1", "oci-archive:absent/x.tar"),
              fails_with(ErrorCode::not_found, HasSubstr("absent is no directory")));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "absent"));
  EXPECT_THAT(copy("oci:from:v1", "oci:to:a b"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(copy("oci:from:v1", "oci-archive:x.tar:v1", {.tags = {"a\nb"}}),
              fails_with(ErrorCode::invalid_argument));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "to"));
}

TEST_F(Copying, DryRunSaysWhatIsMissingAndWritesNothing) {
  const CopyResult planned = unwrap(copy("oci:from:v1", "oci:to:v1", {.dry_run = true}));
  EXPECT_EQ(planned.plan.size(), 8U);  // 5 blobs, 2 images, the list
  EXPECT_TRUE(std::ranges::none_of(planned.plan, &PlannedPart::existed));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "to"));
  unwrap(copy("oci:from:v1", "oci:to:v1"));
  const CopyResult again = unwrap(copy("oci:from:v1", "oci:to:v1", {.dry_run = true}));
  EXPECT_TRUE(std::ranges::all_of(again.plan, &PlannedPart::existed));
}

TEST_F(Copying, CopiesToARegistryAndBackAndWithinIt) {
  if (!test::DockerRegistry::missing().empty()) {
    GTEST_SKIP() << test::DockerRegistry::missing();
  }
  const test::DockerRegistry registry;
  const std::string name = registry.address() + "/team/action";
  const auto sbom = put_referrer(unwrap(list_->index()).manifests[0], "application/sbom");
  const CopyResult up =
      unwrap(copy("oci:from:v1", name + ":v1", {.tags = {"stable"}, .referrers = true}));
  EXPECT_EQ(up.transferred.blobs_uploaded, 7U) << "five of the image, two of its SBOM";
  EXPECT_THAT(unwrap(open(name).store->tags()), ::testing::Contains("stable"));

  const CopyResult within = unwrap(copy(name + ":v1", name + ":v2"));
  EXPECT_EQ(within.transferred.blobs_existed, 0U) << "no blob needs to be asked for";
  const CopyResult across = unwrap(copy(name + ":v2", registry.address() + "/other:v1"));
  EXPECT_EQ(across.transferred.blobs_mounted, 5U);

  unwrap(copy(name + "@" + list_->digest().str(), "oci-archive:back.tar:v1", {.referrers = true}));
  const auto back = open("oci-archive:back.tar:v1");
  expect_whole(*back.store, *list_);
  EXPECT_EQ(unwrap(back.store->referrers(unwrap(list_->index()).manifests[0].digest)).size(), 1U);
  EXPECT_THAT(copy("oci:from:v1", name + "@" + list_->digest().str()),
              fails_with(ErrorCode::invalid_argument));
}

}  // namespace
}  // namespace fnimage::archive
