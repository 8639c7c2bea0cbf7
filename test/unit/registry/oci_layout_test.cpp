// The layout on disk: what other tools need, what a crash leaves, what several writers do to each
// other.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "sample_image.hpp"

namespace fnimage::registry {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OciLayoutTest : public ::testing::Test {
 protected:
  OciLayout& layout() {
    if (!layout_) {
      layout_ = unwrap(OciLayout::open(path(), OciLayout::Mode::create));
    }
    return *layout_;
  }
  [[nodiscard]] fs::path path() const { return scratch_.path() / "layout"; }
  [[nodiscard]] fs::path scratch() const { return scratch_.path(); }
  [[nodiscard]] fs::path blob_path(const manifest::Digest& digest) const {
    return path() / "blobs" / "sha256" / std::string(digest.hex());
  }
  void write(const fs::path& file, std::string_view text) const {
    std::ofstream(file, std::ios::binary) << text;
  }
  static manifest::Descriptor describe(std::string_view bytes) {
    return {.media_type = std::string(manifest::media_type::oci_layer),
            .digest = manifest::Digest::of(bytes),
            .size = bytes.size()};
  }

 private:
  TemporaryDirectory scratch_ = unwrap(TemporaryDirectory::create("fnimage-layout"));
  std::unique_ptr<OciLayout> layout_;
};

TEST_F(OciLayoutTest, NewLayoutHasTheFilesOfTheSpecification) {
  layout();
  EXPECT_EQ(unwrap(read_file(path() / "oci-layout", 1000)), R"({"imageLayoutVersion":"1.0.0"})");
  EXPECT_THAT(unwrap(read_file(path() / "index.json", 1000)), HasSubstr(R"("manifests":[])"));
}

TEST_F(OciLayoutTest, RefusesADirectoryThatHoldsSomethingElse) {
  fs::create_directories(path());
  write(path() / "thesis.txt", "important");
  EXPECT_THAT(OciLayout::open(path(), OciLayout::Mode::create),
              fails_with(ErrorCode::already_exists, HasSubstr("thesis.txt")));
  EXPECT_FALSE(fs::exists(path() / "index.json"));
}

TEST_F(OciLayoutTest, MissingOrForeignDirectoryIsNotALayout) {
  EXPECT_THAT(OciLayout::open(path(), OciLayout::Mode::existing), fails_with(ErrorCode::not_found));
  layout();
  write(path() / "oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  EXPECT_THAT(OciLayout::open(path(), OciLayout::Mode::existing),
              fails_with(ErrorCode::unsupported, HasSubstr("2.0.0")));
}

TEST_F(OciLayoutTest, CreationThatWasInterruptedIsFinished) {
  fs::create_directories(path() / "blobs");
  write(path() / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  write(path() / ".tmp-1-0011223344556677", "half");
  EXPECT_THAT(OciLayout::open(path(), OciLayout::Mode::create), is_ok());
}

TEST_F(OciLayoutTest, TagMovesAndBytesStay) {
  const auto first = test::put_list(layout(), "v1");
  const auto other = manifest::Document::of(manifest::Index{});
  unwrap(layout().put_manifest(other, "v1"));
  EXPECT_THAT(unwrap(layout().tags()), ElementsAre("v1"));
  EXPECT_EQ(unwrap(layout().get_manifest(Selector("v1"))).digest(), other.digest());
  EXPECT_EQ(unwrap(layout().get_manifest(first.digest())).bytes(), first.bytes());
}

TEST_F(OciLayoutTest, UntaggedManifestIsFoundByDigestOnly) {
  const auto image = test::put_image(layout(), "linux/amd64");
  EXPECT_THAT(unwrap(layout().entries()), IsEmpty());
  EXPECT_EQ(unwrap(layout().resolve(image.digest))->media_type, image.media_type);
  EXPECT_EQ(unwrap(layout().resolve(Selector("absent"))), std::nullopt);
  EXPECT_THAT(layout().get_manifest(Selector("absent")), fails_with(ErrorCode::not_found));
}

TEST_F(OciLayoutTest, WrongBytesLeaveNothing) {
  auto blob = describe("right");
  EXPECT_THAT(layout().put_blob(blob, *memory_content("wrong"), {}),
              fails_with(ErrorCode::verification));
  blob.size = 4;
  EXPECT_THAT(layout().put_blob(blob, *memory_content("right"), {}),
              fails_with(ErrorCode::verification));
  EXPECT_TRUE(fs::is_empty(path() / "blobs" / "sha256"));
}

TEST_F(OciLayoutTest, TornBlobIsWrittenAnew) {
  const auto blob = describe("whole");
  layout();
  write(blob_path(blob.digest), "who");
  EXPECT_FALSE(unwrap(layout().has_blob(blob)));
  EXPECT_EQ(unwrap(layout().put_blob(blob, *memory_content("whole"), {})), BlobOutcome::uploaded);
  EXPECT_EQ(unwrap(read_file(blob_path(blob.digest), 100)), "whole");
}

TEST_F(OciLayoutTest, DamagedBlobFailsBeforeItsEnd) {
  const auto blob = describe("good bytes");
  layout();
  write(blob_path(blob.digest), "evil bytes");
  const auto content = unwrap(layout().blob(blob));
  const auto reader = unwrap(content->open());
  EXPECT_THAT(read_all(*reader, 1000), fails_with(ErrorCode::verification));
  EXPECT_EQ(content->file(), std::nullopt)
      << "unverified bytes must not be linked into another store";
}

TEST_F(OciLayoutTest, DamagedManifestIsRefused) {
  const auto list = test::put_list(layout(), "v1");
  write(blob_path(list.digest()), std::string(list.bytes().size(), ' '));
  EXPECT_THAT(layout().get_manifest(Selector("v1")), fails_with(ErrorCode::verification));
}

TEST_F(OciLayoutTest, FileOfTheSameFileSystemIsLinked) {
  const fs::path file = scratch() / "cached";
  write(file, "layer bytes");
  const auto blob = describe("layer bytes");
  unwrap(layout().put_blob(blob, *unwrap(file_content(file)), {}));
  EXPECT_EQ(fs::hard_link_count(file), 2U);
}

TEST_F(OciLayoutTest, RemovingATagKeepsTheOthers) {
  test::put_list(layout(), "v1");
  test::put_list(layout(), "v2");
  EXPECT_THAT(layout().remove_tag("v1"), is_ok());
  EXPECT_THAT(layout().remove_tag("v1"), fails_with(ErrorCode::not_found));
  EXPECT_THAT(unwrap(layout().tags()), ElementsAre("v2"));
}

TEST_F(OciLayoutTest, ReferrersAreFoundBySubject) {
  const auto image = test::put_image(layout(), "linux/amd64");
  manifest::ImageManifest report{
      .config = test::put_bytes(layout(), "{}", manifest::media_type::oci_empty),
      .layers = {},
      .artifact_type = "application/spdx+json",
      .subject = image};
  unwrap(layout().put_manifest(manifest::Document::of(report), "report"));
  const auto found = unwrap(layout().referrers(image.digest));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].artifact_type, "application/spdx+json");
}

TEST_F(OciLayoutTest, ReclaimsWhatNothingNeeds) {
  const auto list = test::put_list(layout(), "kept");
  const auto gone = test::put_image(layout(), "linux/s390x");
  unwrap(layout().put_manifest(unwrap(layout().get_manifest(gone.digest)), "gone"));
  EXPECT_EQ(unwrap(layout().reclaim()).blobs, 0U);
  unwrap(layout().remove_tag("gone"));
  const auto reclaimed = unwrap(layout().reclaim());
  EXPECT_EQ(reclaimed.blobs, 3U) << "manifest, config and own layer, but not the shared one";
  EXPECT_FALSE(fs::exists(blob_path(gone.digest)));
  const auto index = unwrap(list.index());
  for (const auto& child : index.manifests) {
    const auto image = unwrap(unwrap(layout().get_manifest(child.digest)).image());
    for (const auto& blob : image.layers) {
      EXPECT_TRUE(unwrap(layout().has_blob(blob)));
    }
  }
}

TEST_F(OciLayoutTest, WhatRefersToAnImageIsNeededAsLongAsTheImage) {
  const auto attach = [this](const manifest::Descriptor& subject, std::string text) {
    manifest::ImageManifest report{
        .config = test::put_bytes(layout(), "{}", manifest::media_type::oci_empty),
        .layers = {test::put_bytes(layout(), std::move(text), "application/spdx+json")},
        .artifact_type = "application/spdx+json",
        .subject = subject};
    const auto document = manifest::Document::of(report);
    unwrap(put_referrer(layout(), document));
    return document.descriptor();
  };
  const auto list = test::put_list(layout(), "v1");
  const auto report = attach(unwrap(list.index()).manifests[0], "packages");
  const auto signature = attach(report, "signature");
  EXPECT_THAT(unwrap(layout().tags()), ::testing::SizeIs(3));
  EXPECT_EQ(unwrap(layout().reclaim()).blobs, 0U);
  EXPECT_EQ(unwrap(layout().referrers(report.digest)).front().digest, signature.digest);
  unwrap(layout().remove_tag("v1"));
  EXPECT_GT(unwrap(layout().reclaim()).blobs, 6U);
  EXPECT_TRUE(unwrap(layout().entries()).empty()) << "the lists of referrers too";
  EXPECT_FALSE(fs::exists(blob_path(signature.digest)));
}

TEST_F(OciLayoutTest, ReclaimsNothingWhileAnotherWritesOrWhatIsNeededIsUnknown) {
  const auto list = test::put_list(layout(), "v1");
  test::put_bytes(layout(), "of no use", manifest::media_type::oci_layer);
  {
    const auto writer = unwrap(OciLayout::open(path(), OciLayout::Mode::existing));
    test::put_bytes(*writer, "will be named soon", manifest::media_type::oci_layer);
    EXPECT_TRUE(unwrap(layout().reclaim()).busy);
  }
  write(blob_path(list.digest()), "damaged");
  EXPECT_THAT(layout().reclaim(), fails_with(ErrorCode::verification));
  EXPECT_TRUE(unwrap(layout().has_blob(describe("of no use"))));
  write(blob_path(list.digest()), list.bytes());
  EXPECT_EQ(unwrap(layout().reclaim()).blobs, 2U);
}

TEST_F(OciLayoutTest, WithoutTagTheListOfAllThatIsThereIsMeant) {
  const auto list = test::put_list(layout(), "v1");
  const auto index = unwrap(list.index());
  unwrap(
      layout().put_manifest(unwrap(layout().get_manifest(index.manifests[0].digest)), "v1-amd64"));
  EXPECT_EQ(unwrap(only_image(layout().reader(), "x")), Selector(list.digest()));
  const auto other = test::put_image(layout(), "linux/s390x");
  unwrap(layout().put_manifest(unwrap(layout().get_manifest(other.digest)), "other"));
  EXPECT_THAT(only_image(layout().reader(), "x"),
              fails_with(ErrorCode::invalid_argument, HasSubstr("other, v1, v1-amd64")));
}

TEST_F(OciLayoutTest, ThreadsAndProcessesLoseNoTag) {
  layout();
  constexpr int writers = 4;
  constexpr int tags_each = 8;
  const auto document = manifest::Document::of(manifest::Index{});
  const auto write_tags = [&](const std::string& prefix) {
    auto own = OciLayout::open(path(), OciLayout::Mode::existing);
    for (int i = 0; own && i < tags_each; ++i) {
      (void)(*own)->put_manifest(document, prefix + std::to_string(i));
    }
  };
  std::vector<pid_t> children;
  for (int i = 0; i < writers; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      write_tags("process" + std::to_string(i) + "-");
      ::_exit(0);
    }
    children.push_back(child);
  }
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < writers; ++i) {
      threads.emplace_back(write_tags, "thread" + std::to_string(i) + "-");
    }
  }
  for (const pid_t child : children) {
    ::waitpid(child, nullptr, 0);
  }
  EXPECT_EQ(unwrap(layout().tags()).size(), 2U * writers * tags_each);
}

TEST_F(OciLayoutTest, SkopeoReadsOursAndWeReadSkopeos) {
  if (std::system("skopeo --version >/dev/null 2>&1") != 0) {  // NOLINT(concurrency-mt-unsafe)
    GTEST_SKIP() << "skopeo is not installed";
  }
  const auto list = test::put_list(layout(), "latest");
  const fs::path copied = scratch() / "copied";
  // The sample's layers are not really compressed: skopeo would do it and change their digests.
  const std::string command =
      "skopeo --insecure-policy copy -q --all --preserve-digests oci:" + path().string() +
      ":latest oci:" + copied.string() + ":again 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
  const auto theirs = unwrap(OciLayout::open(copied, OciLayout::Mode::existing));
  EXPECT_EQ(unwrap(theirs->get_manifest(Selector("again"))).bytes(), list.bytes());
}

}  // namespace
}  // namespace fnimage::registry
