// What a layout makes of files that are not what their names promise: damaged, replaced while they
// were linked, of another kind, or left by a process that was killed.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::registry {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

class OciLayoutDamageTest : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path path() const { return scratch_.path() / "layout"; }
  [[nodiscard]] fs::path blob_path(const manifest::Digest& digest) const {
    return path() / "blobs" / "sha256" / std::string(digest.hex());
  }
  static void write(const fs::path& file, std::string_view text) {
    std::ofstream(file, std::ios::binary) << text;
  }
  static manifest::Descriptor describe(std::string_view bytes) {
    return {.media_type = std::string(manifest::media_type::oci_layer),
            .digest = manifest::Digest::of(bytes),
            .size = bytes.size()};
  }

  TemporaryDirectory scratch_ = unwrap(TemporaryDirectory::create("fnimage-damage"));
  std::unique_ptr<OciLayout> layout_ = unwrap(OciLayout::open(path(), OciLayout::Mode::create));
  manifest::Document list_ = manifest::Document::of(manifest::Index{});
};

TEST_F(OciLayoutDamageTest, DamagedManifestOfTheRightSizeIsNotThereAndIsWrittenAnew) {
  write(blob_path(list_.digest()), std::string(list_.bytes().size(), 'x'));
  EXPECT_EQ(unwrap(layout_->resolve(list_.digest())), std::nullopt);
  EXPECT_THAT(layout_->put_manifest(list_, "v1"), is_ok());
  EXPECT_EQ(unwrap(layout_->get_manifest(Selector("v1"))).bytes(), list_.bytes());
}

TEST_F(OciLayoutDamageTest, DamagedBlobOfTheRightSizeIsRemovedOnceItIsReadAndStoredAnew) {
  const std::string bytes = "layer bytes";
  const auto blob = describe(bytes);
  unwrap(layout_->put_blob(blob, *memory_content(bytes), {}));
  const fs::path cached = scratch_.path() / "cached";
  fs::create_hard_link(blob_path(blob.digest), cached);
  write(blob_path(blob.digest), std::string(bytes.size(), 'x'));
  const auto read = [&] {
    return read_all(*unwrap(unwrap(layout_->blob(blob))->open()), bytes.size());
  };
  const auto damaged = read();
  ASSERT_THAT(damaged, fails_with(ErrorCode::verification, HasSubstr("has been removed")));
  EXPECT_THAT(damaged.error().hint(), HasSubstr("pull"));
  EXPECT_FALSE(unwrap(layout_->has_blob(blob)));
  EXPECT_EQ(fs::file_size(cached), 0U) << "who goes by the size must not take it either";
  EXPECT_EQ(unwrap(layout_->put_blob(blob, *memory_content(bytes), {})), BlobOutcome::uploaded);
  EXPECT_EQ(unwrap(read()), bytes);
}

TEST_F(OciLayoutDamageTest, WhatIsRightOrOfAnotherToolIsNotRemoved) {
  const std::string bytes = "layer bytes";
  auto blob = describe(bytes);
  unwrap(layout_->put_blob(blob, *memory_content(bytes), {}));
  const auto read = [&] { return read_all(*unwrap(unwrap(layout_->blob(blob))->open()), 100); };
  blob.size += 1;  // a manifest that says so is wrong, not the blob
  EXPECT_THAT(read(), fails_with(ErrorCode::verification));
  EXPECT_TRUE(fs::exists(blob_path(blob.digest)));
  blob.size -= 1;
  fs::remove(path() / ".fnimage.lock");
  write(blob_path(blob.digest), std::string(bytes.size(), 'x'));
  EXPECT_THAT(read(), fails_with(ErrorCode::verification));
  EXPECT_EQ(fs::file_size(blob_path(blob.digest)), bytes.size());
}

TEST_F(OciLayoutDamageTest, IndexThatNobodyCouldReadIsNotWritten) {
  manifest::Index index;
  for (int i = 0; i < 100; ++i) {
    auto entry = list_.descriptor();
    entry.annotations.emplace(manifest::annotation::ref_name, "t" + std::to_string(i));
    index.manifests.push_back(std::move(entry));
  }
  write(path() / "index.json", emit(index));
  layout_ = unwrap(OciLayout::open(path(), OciLayout::Mode::existing, {.max_entries = 100}));
  const auto put = layout_->put_manifest(list_, "one more");
  ASSERT_THAT(put, fails_with(ErrorCode::no_space, HasSubstr("full")));
  EXPECT_THAT(put.error().hint(), HasSubstr("fnimage rm"));
  EXPECT_THAT(layout_->remove_tag("t7"), is_ok());
  EXPECT_THAT(layout_->put_manifest(list_, "one more"), is_ok());
  EXPECT_EQ(unwrap(layout_->tags()).size(), 100U);
}

TEST_F(OciLayoutDamageTest, IndexMayBeLongerThanADocumentFromOutside) {
  manifest::Index index;
  for (int i = 0; i < 25'000; ++i) {
    auto entry = list_.descriptor();
    entry.annotations.emplace(manifest::annotation::ref_name, "t" + std::to_string(i));
    index.manifests.push_back(std::move(entry));
  }
  const std::string text = emit(index);
  ASSERT_GT(text.size(), manifest::max_document_bytes);
  write(path() / "index.json", text);
  EXPECT_THAT(manifest::Index::parse(text), fails_with(ErrorCode::invalid_input));
  layout_ = unwrap(OciLayout::open(path(), OciLayout::Mode::existing));
  EXPECT_THAT(layout_->put_manifest(list_, "one-more"), is_ok());
  EXPECT_EQ(unwrap(layout_->tags()).size(), 25'001U);
}

TEST_F(OciLayoutDamageTest, DigestOfALayerIsNoManifest) {
  const auto blob = describe("layer bytes");
  unwrap(layout_->put_blob(blob, *memory_content("layer bytes"), {}));
  EXPECT_EQ(unwrap(layout_->resolve(blob.digest)), std::nullopt);
}

TEST_F(OciLayoutDamageTest, PipeInPlaceOfABlobDoesNotBlock) {
  const auto blob = describe("never written");
  ASSERT_EQ(::mkfifo(blob_path(blob.digest).c_str(), 0644), 0);
  EXPECT_EQ(unwrap(layout_->resolve(blob.digest)), std::nullopt);
  EXPECT_THAT(layout_->get_manifest(blob.digest), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(layout_->blob(blob), fails_with(ErrorCode::invalid_input));
}

TEST_F(OciLayoutDamageTest, PipeInPlaceOfTheIndexDoesNotBlock) {
  fs::remove(path() / "index.json");
  ASSERT_EQ(::mkfifo((path() / "index.json").c_str(), 0644), 0);
  EXPECT_THAT(OciLayout::open(path(), OciLayout::Mode::existing),
              fails_with(ErrorCode::invalid_input));
}

TEST_F(OciLayoutDamageTest, FileThatShrankBeforeItWasLinkedLeavesNothing) {
  const fs::path file = scratch_.path() / "cached";
  write(file, "layer bytes");
  const ContentPtr content = unwrap(file_content(file));
  fs::resize_file(file, 3);
  const auto blob = describe("layer bytes");
  EXPECT_THAT(layout_->put_blob(blob, *content, {}), fails_with(ErrorCode::io));
  EXPECT_TRUE(fs::is_empty(path() / "blobs" / "sha256"));
}

TEST_F(OciLayoutDamageTest, NameOfAnEntryStaysInTheIndex) {
  unwrap(layout_->put_manifest(list_, "v1"));
  EXPECT_TRUE(unwrap(layout_->resolve(Selector("v1")))->annotations.empty());
  EXPECT_FALSE(unwrap(layout_->entries()).front().annotations.empty());
}

TEST_F(OciLayoutDamageTest, TemporaryFilesOfDeadProcessesGoForEveryAlgorithm) {
  fs::create_directories(path() / "blobs" / "sha512");
  // Above the largest process id that Linux gives out.
  const fs::path left = path() / "blobs" / "sha512" / ".tmp-4194305-00ff";
  write(left, "half of a blob");
  unwrap(OciLayout::open(path(), OciLayout::Mode::create));
  EXPECT_FALSE(fs::exists(left));
}

}  // namespace
}  // namespace fnimage::registry
