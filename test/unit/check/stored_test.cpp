// Whole images of a store: lists, platforms, layers as they are packed.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/check/check.hpp>
#include <fnimage/layer/layer.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::check {
namespace {

using manifest::Platform;
using test::ElfFile;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

manifest::Descriptor put_text(registry::ImageStore& store, std::string text,
                              std::string_view type) {
  manifest::Descriptor blob{.media_type = std::string(type),
                            .digest = manifest::Digest::of(std::string_view(text)),
                            .size = text.size()};
  unwrap(store.put_blob(blob, *memory_content(std::move(text)), {}));
  return blob;
}

class Stored : public ::testing::Test {
 protected:
  /// Packs entries into a layer of the store.
  layer::Layer put_layer(const LayerOf& entries) {
    layer::FileTree tree;
    for (const layer::Entry& entry : entries.entries()) {
      unwrap(tree.add(entry));
    }
    layer::LayerCache cache = unwrap(layer::LayerCache::open(temp_ / "layers"));
    layer::Layer packed = unwrap(layer::build_layer(tree, {}, cache, pool_, null_diagnostics()));
    unwrap(store_->put_blob(packed.descriptor, *packed.blob, {}));
    return packed;
  }

  manifest::Descriptor put_image(const std::vector<LayerOf>& layers, const std::string& platform,
                                 const std::string& said) {
    manifest::ImageConfig config = good_config();
    config.platform = unwrap(Platform::parse(said));
    std::vector<manifest::Descriptor> blobs;
    for (const LayerOf& entries : layers) {
      const layer::Layer packed = put_layer(entries);
      blobs.push_back(packed.descriptor);
      config.diff_ids.push_back(packed.diff_id);
      config.history.emplace_back().created_by = "made for a test";
    }
    const auto document = manifest::Document::of(manifest::ImageManifest{
        .config = put_text(*store_, emit(config), manifest::media_type::oci_config),
        .layers = blobs});
    unwrap(store_->put_manifest(document, "image"));
    manifest::Descriptor descriptor = document.descriptor();
    descriptor.platform = unwrap(Platform::parse(platform));
    return descriptor;
  }

  manifest::Digest put_list(const std::vector<manifest::Descriptor>& entries) {
    manifest::Index index;
    index.manifests = entries;
    const auto document = manifest::Document::of(index);
    unwrap(store_->put_manifest(document, "list"));
    return document.digest();
  }

  Result<std::vector<StoredImage>> check(const std::string& name,
                                         const std::vector<std::string>& platforms = {}) {
    StoreOptions options{.directory = temp_.path()};
    for (const std::string& platform : platforms) {
      options.platforms.push_back(unwrap(Platform::parse(platform)));
    }
    return check_stored(*store_, registry::Selector(name), options, pool_, null_diagnostics());
  }

  test::TempDir temp_;
  WorkerPool pool_{2};
  std::unique_ptr<registry::ImageStore> store_ = registry::make_memory_store("memory");
};

LayerOf small_program(const ElfFile& like) {
  return LayerOf().program("usr/bin/app", like.bytes());
}

TEST_F(Stored, EachPlatformOfAList) {
  put_list(
      {put_image({small_program({}), LayerOf().file("shared", "x")}, "linux/amd64", "linux/amd64"),
       put_image({small_program({}), LayerOf().file("shared", "x")}, "linux/ppc64le",
                 "linux/ppc64le")});
  const auto images = unwrap(check("list"));
  ASSERT_EQ(images.size(), 2U);
  EXPECT_EQ(images[0].report.platform.str(), "linux/amd64");
  EXPECT_THAT(briefly(images[0].report), IsEmpty());
  EXPECT_EQ(images[0].report.files, 2U);
  EXPECT_EQ(images[1].report.platform.str(), "linux/ppc64le");
  EXPECT_THAT(briefly(images[1].report), ElementsAre("error machine /usr/bin/app"));
  EXPECT_EQ(images[1].report.findings[0].origin, "layer 1 (made for a test)");
}

TEST_F(Stored, SingleImagesAndWantedPlatforms) {
  put_list({put_image({small_program({})}, "linux/amd64", "linux/amd64"),
            put_image({small_program(ElfFile().for_ppc64le())}, "linux/ppc64le", "linux/ppc64le")});
  EXPECT_EQ(unwrap(check("image")).front().report.platform.str(), "linux/ppc64le");
  const auto one = unwrap(check("list", {"linux/amd64"}));
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].report.platform.str(), "linux/amd64");
  EXPECT_THAT(check("list", {"linux/amd64", "linux/s390x"}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/s390x")));
}

TEST_F(Stored, ConfigsThatSayAnotherPlatform) {
  put_list({put_image({small_program({})}, "linux/amd64", "linux/arm64")});
  EXPECT_THAT(briefly(unwrap(check("list")).front().report), ElementsAre("error platform "));
}

TEST_F(Stored, AttestationsArePassedOver) {
  manifest::Descriptor statement = put_image({}, "linux/amd64", "linux/amd64");
  statement.platform.emplace().os = "unknown";
  statement.platform->architecture = "unknown";
  put_list({put_image({small_program({})}, "linux/amd64", "linux/amd64"), statement});
  EXPECT_EQ(unwrap(check("list")).size(), 1U);
  put_list({statement});
  EXPECT_THAT(check("list"), fails_with(ErrorCode::invalid_input));
}

TEST_F(Stored, ListsWithinLists) {
  const auto image = put_image({small_program({})}, "linux/amd64", "linux/amd64");
  manifest::Digest inner = put_list({image});
  manifest::Descriptor entry = unwrap(store_->get_manifest(inner)).descriptor();
  put_list({entry});
  EXPECT_EQ(unwrap(check("list")).size(), 1U);
  for (int depth = 0; depth < 10; ++depth) {
    inner = put_list({entry});
    entry = unwrap(store_->get_manifest(inner)).descriptor();
  }
  EXPECT_THAT(check("list"), fails_with(ErrorCode::invalid_input, HasSubstr("nested")));
}

TEST_F(Stored, BrokenLayersAreErrors) {
  manifest::ImageConfig config = good_config();
  const manifest::Descriptor blob = put_text(*store_, "no archive at all, whatever it is called",
                                             manifest::media_type::oci_layer_gzip);
  config.diff_ids = {blob.digest};
  const manifest::ImageManifest image{
      .config = put_text(*store_, emit(config), manifest::media_type::oci_config),
      .layers = {blob}};
  unwrap(store_->put_manifest(manifest::Document::of(image), "image"));
  EXPECT_THAT(check("image"), fails_with(ErrorCode::invalid_input));
}

}  // namespace
}  // namespace fnimage::check
