// A directory of layouts as many repositories: names, links, entries without a name, and that
// index.json is written once for many tags.
#include <filesystem>

#include <fnimage/registry/layout_tree.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/repository_set.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

namespace fs = std::filesystem;
using manifest::Descriptor;
using manifest::Document;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Mode = RepositorySet::Mode;

class DirectorySetTest : public ::testing::Test {
 protected:
  std::unique_ptr<OpenRepository> open(const std::string& name, Mode mode = Mode::write) {
    return unwrap(set_->open(name, mode));
  }
  test::TempDir directory_;
  std::unique_ptr<RepositorySet> set_ = directory_repositories(directory_ / "store");
};

TEST_F(DirectorySetTest, MakesWhatIsMissingOnlyToWrite) {
  EXPECT_THAT(set_->names(), fails_with(ErrorCode::not_found));
  EXPECT_THAT(set_->open("team/app", Mode::read), fails_with(ErrorCode::not_found));
  EXPECT_FALSE(fs::exists(directory_ / "store"));
  open("team/app");
  open("team");  // around the other
  open("blobs/x");
  EXPECT_THAT(unwrap(set_->names()), ElementsAre("blobs/x", "team", "team/app"));
  EXPECT_TRUE(fs::exists(directory_ / "store/blobs_/x/index.json"));
  EXPECT_THAT(set_->open("team/app", Mode::read), is_ok());
  for (const std::string name : {"..", "../x", "/x", "a//b", "", "A", ".fnimage.uploads"}) {
    EXPECT_THAT(set_->open(name, Mode::write), fails_with(ErrorCode::invalid_argument)) << name;
  }
}

TEST_F(DirectorySetTest, LinksAreNotFollowed) {
  open("real");
  fs::create_directory(directory_ / "elsewhere");
  fs::create_directory_symlink(directory_ / "elsewhere", directory_ / "store/linked");
  fs::create_directory_symlink(directory_ / "store/real", directory_ / "store/again");
  EXPECT_THAT(set_->open("linked/app", Mode::write), fails_with(ErrorCode::already_exists));
  EXPECT_THAT(set_->open("again", Mode::read), fails_with(ErrorCode::not_found));
  EXPECT_THAT(unwrap(set_->names()), ElementsAre("real"));
  EXPECT_TRUE(fs::is_empty(directory_ / "elsewhere"));
}

TEST_F(DirectorySetTest, TagsAreThereAfterFlush) {
  const auto repository = open("app");
  const Document list = test::put_list(repository->store(), "v1");
  unwrap(repository->store().put_tags(list, {"v2", "v3"}));
  EXPECT_THAT(unwrap(open("app")->tags()), IsEmpty());
  unwrap(repository->flush());
  const TagListing tags = unwrap(open("app")->tags());
  ASSERT_THAT(tags, SizeIs(3));
  EXPECT_EQ(tags.at("v2")->digest, list.digest());
  EXPECT_THAT(unwrap(open("app")->untagged()), IsEmpty()) << "a list's images belong to it";
  EXPECT_THAT(
      unwrap(
          unwrap(OciLayout::open(directory_ / "store/app", OciLayout::Mode::existing))->entries()),
      SizeIs(3));
}

TEST_F(DirectorySetTest, WhatHasNoTagHasAnEntry) {
  const auto repository = open("app");
  const Descriptor image = test::put_image(repository->store(), "linux/amd64");
  EXPECT_FALSE(unwrap(repository->stands(image.digest))) << "an interrupted run leaves such";
  unwrap(repository->flush());
  EXPECT_TRUE(unwrap(open("app")->stands(image.digest)));
  ASSERT_THAT(unwrap(open("app")->untagged()), SizeIs(1));
  const Document document = unwrap(repository->store().get_manifest(image.digest));
  unwrap(repository->store().put_manifest(document, "v1"));
  unwrap(repository->flush());
  EXPECT_THAT(unwrap(open("app")->untagged()), IsEmpty());
  const Document list = test::put_list(repository->store(), "v1");
  unwrap(repository->flush());
  EXPECT_TRUE(unwrap(open("app")->stands(image.digest))) << "it has lost its tag, not its entry";
}

TEST_F(DirectorySetTest, ReferrersAreFoundWithoutListsOfThem) {
  const auto repository = open("app");
  ImageStore& store = repository->store();
  const Document list = test::put_list(store, "v1");
  manifest::ImageManifest signature{
      .config = test::put_bytes(store, "{}", manifest::media_type::oci_config),
      .layers = {},
      .artifact_type = "application/vnd.example",
      .subject = list.descriptor()};
  unwrap(put_referrer(store, Document::of(signature)));
  unwrap(repository->flush());
  const auto again = open("app", Mode::read);
  ASSERT_THAT(unwrap(again->store().referrers(list.digest())), SizeIs(1));
  EXPECT_EQ(unwrap(again->store().referrers(list.digest()))[0].artifact_type,
            "application/vnd.example");
  EXPECT_THAT(unwrap(again->tags()), SizeIs(1)) << "no list under a fallback tag is needed";
  EXPECT_THAT(unwrap(again->untagged()), SizeIs(1));
}

TEST_F(DirectorySetTest, ListsUnderFallbackTagsAreRead) {
  const auto layout = [&] {
    fs::create_directories(directory_ / "store/app");
    return unwrap(OciLayout::open(directory_ / "store/app", OciLayout::Mode::create));
  }();
  const Document list = test::put_list(*layout, "v1");
  Descriptor signature = test::put_image(*layout, "linux/s390x");
  const FallbackList fallback = fallback_list(list.digest(), {signature});
  unwrap(layout->put_manifest(fallback.document, fallback.tag));
  const auto found = unwrap(open("app", Mode::read)->store().referrers(list.digest()));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].digest, signature.digest);
}

}  // namespace
}  // namespace fnimage::registry
