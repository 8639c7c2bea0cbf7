// Base images: the platform's image is found, and what contradicts itself is refused.
#include <filesystem>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/source/base_image.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::source {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::Platform;
using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::HasSubstr;

Platform platform(std::string_view text) {
  return unwrap(Platform::parse(text));
}

Descriptor put(registry::ImageStore& store, std::string_view type, std::string bytes) {
  Descriptor descriptor{.media_type = std::string(type),
                        .digest = Digest::of(std::string_view(bytes)),
                        .size = bytes.size()};
  unwrap(store.put_blob(descriptor, *memory_content(std::move(bytes)), {}));
  return descriptor;
}

/// An image whose config says `config_platform`; returns its list entry for that platform.
Descriptor put_image(registry::ImageStore& store, std::string_view config_platform) {
  const std::string tar = "layer for " + std::string(config_platform);
  manifest::ImageConfig config;
  config.platform = platform(config_platform);
  config.diff_ids.push_back(Digest::of(tar));
  manifest::ImageManifest image{
      .config = put(store, manifest::media_type::oci_config, manifest::emit(config)), .layers = {}};
  image.layers.push_back(put(store, manifest::media_type::oci_layer, tar));
  const Document document = Document::of(image);
  unwrap(store.put_manifest(document, std::nullopt));
  Descriptor entry = document.descriptor();
  entry.platform = config.platform;
  return entry;
}

Digest put_list(registry::ImageStore& store, std::vector<Descriptor> entries) {
  const Document document = Document::of(manifest::Index{.manifests = std::move(entries)});
  unwrap(store.put_manifest(document, "latest"));
  return document.digest();
}

Result<BaseImage> load(registry::ImageStore& store, const registry::Selector& selector,
                       const Platform& platform, const std::filesystem::path& cache = {}) {
  FNIMAGE_TRY(const BaseImages images, BaseImages::open(store, selector, cache));
  return images.load(platform);
}

TEST(BaseImage, ChoosesThePlatform) {
  const auto store = registry::make_memory_store("test");
  const Descriptor amd64 = put_image(*store, "linux/amd64");
  const Descriptor ppc64le = put_image(*store, "linux/ppc64le");
  const Digest list = put_list(*store, {amd64, ppc64le});
  const BaseImage base = unwrap(load(*store, std::string("latest"), platform("linux/ppc64le")));
  EXPECT_EQ(base.descriptor.digest, ppc64le.digest);
  EXPECT_EQ(base.root.digest, list);
  EXPECT_EQ(base.config.platform.architecture, "ppc64le");
  EXPECT_EQ(base.manifest.layers.size(), 1U);
}

TEST(BaseImage, MissingPlatformIsNamedWithThoseThatExist) {
  const auto store = registry::make_memory_store("test");
  put_list(*store, {put_image(*store, "linux/amd64"), put_image(*store, "linux/arm64")});
  EXPECT_THAT(
      load(*store, std::string("latest"), platform("linux/ppc64le")),
      fails_with(ErrorCode::platform_mismatch,
                 AllOf(HasSubstr("no linux/ppc64le"), HasSubstr("linux/amd64, linux/arm64"))));
}

TEST(BaseImage, OtherArchitectureIsNoSubstitute) {
  const auto store = registry::make_memory_store("test");
  put_list(*store, {put_image(*store, "linux/386")});
  EXPECT_THAT(load(*store, std::string("latest"), platform("linux/amd64")),
              fails_with(ErrorCode::platform_mismatch));
}

TEST(BaseImage, EntryThatLiesIsRefused) {
  const auto store = registry::make_memory_store("test");
  Descriptor entry = put_image(*store, "linux/amd64");
  entry.platform = platform("linux/ppc64le");
  put_list(*store, {entry});
  EXPECT_THAT(load(*store, std::string("latest"), platform("linux/ppc64le")),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("config says linux/amd64")));
}

TEST(BaseImage, SingleImageOnlyForItsPlatform) {
  const auto store = registry::make_memory_store("test");
  const Descriptor image = put_image(*store, "linux/amd64");
  EXPECT_EQ(unwrap(load(*store, image.digest, platform("linux/amd64"))).root.digest, image.digest);
  EXPECT_THAT(load(*store, image.digest, platform("linux/ppc64le")),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("only for linux/amd64")));
  const Descriptor newer = put_image(*store, "linux/amd64/v3");
  EXPECT_THAT(load(*store, newer.digest, platform("linux/amd64")),
              fails_with(ErrorCode::platform_mismatch));
}

TEST(BaseImage, MissingOrForeignContentIsAnError) {
  const auto store = registry::make_memory_store("test");
  EXPECT_THAT(load(*store, std::string("latest"), platform("linux/amd64")),
              fails_with(ErrorCode::not_found));
  manifest::ImageManifest artifact{.config = put(*store, "application/x-model", "{}"),
                                   .layers = {}};
  const Document document = Document::of(artifact);
  unwrap(store->put_manifest(document, std::nullopt));
  EXPECT_THAT(load(*store, document.digest(), platform("linux/amd64")),
              fails_with(ErrorCode::unsupported, HasSubstr("artifact")));
}

TEST(BaseImage, AllPlatformsComeFromOneListThoughTheTagMoves) {
  const auto store = registry::make_memory_store("test");
  const Descriptor ppc64le = put_image(*store, "linux/ppc64le");
  put_list(*store, {put_image(*store, "linux/amd64"), ppc64le});
  const BaseImages images = unwrap(BaseImages::open(*store, std::string("latest")));
  unwrap(images.load(platform("linux/amd64")));
  put_list(*store, {put_image(*store, "linux/arm64")});
  EXPECT_EQ(unwrap(images.load(platform("linux/ppc64le"))).descriptor.digest, ppc64le.digest);
}

TEST(BaseImage, UnchangedBaseIsNotFetchedAgain) {
  const test::TempDir directory;
  const auto full = registry::make_memory_store("full");
  put_list(*full, {put_image(*full, "linux/amd64")});
  unwrap(load(*full, std::string("latest"), platform("linux/amd64"), directory.path()));

  const auto list_only = registry::make_memory_store("list only");
  unwrap(list_only->put_manifest(unwrap(full->get_manifest(std::string("latest"))), "latest"));
  EXPECT_THAT(load(*list_only, std::string("latest"), platform("linux/amd64")),
              fails_with(ErrorCode::not_found));
  unwrap(load(*list_only, std::string("latest"), platform("linux/amd64"), directory.path()));

  for (const auto& file : std::filesystem::directory_iterator(directory / "sha256")) {
    unwrap(write_file_atomically(file.path(), "damaged"));
  }
  EXPECT_THAT(load(*list_only, std::string("latest"), platform("linux/amd64"), directory.path()),
              fails_with(ErrorCode::not_found));
  unwrap(load(*full, std::string("latest"), platform("linux/amd64"), directory.path()));
}

}  // namespace
}  // namespace fnimage::source
