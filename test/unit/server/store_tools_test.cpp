// Other tools read the store's directory, and write there.
#include <cstdlib>

#include <gmock/gmock.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "store_fixture.hpp"

namespace fnimage::server {
namespace {

using manifest::Digest;
using test::unwrap;
using ::testing::ElementsAre;

class StoreToolsTest : public StoreTest {
 protected:
  static int shell(const std::string& command) {
    return std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
  }
  static int skopeo_copy(const std::string& from, const std::string& to) {
    return shell("skopeo --insecure-policy copy -q --all --preserve-digests " + from + " " + to);
  }
  manifest::Descriptor put_part(const std::string& name, const std::string& bytes,
                                std::string_view media_type) {
    put_blob(name, bytes);
    return {
        .media_type = std::string(media_type), .digest = Digest::of(bytes), .size = bytes.size()};
  }
  /// A list of one image whose parts are there.
  NewManifest put_list(const std::string& name, const std::string& tag) {
    manifest::ImageConfig config;
    config.platform = unwrap(manifest::Platform::parse("linux/ppc64le"));
    config.diff_ids = {Digest::of("not compressed")};
    manifest::ImageManifest image{
        .config = put_part(name, emit(config), manifest::media_type::oci_config),
        .layers = {put_part(name, "not compressed", manifest::media_type::oci_layer)}};
    const auto document = manifest::Document::of(image);
    unwrap(repository(name)->put_manifest({.bytes = document.bytes(),
                                           .media_type = document.media_type(),
                                           .digest = document.digest(),
                                           .tags = {}},
                                          {}));
    manifest::Index list;
    list.put(document.descriptor());
    list.manifests[0].platform = config.platform;
    NewManifest put{.bytes = emit(list),
                    .media_type = std::string(manifest::media_type::oci_index),
                    .digest = Digest::of(emit(list)),
                    .tags = {tag}};
    unwrap(repository(name)->put_manifest(put, {}));
    return put;
  }
};

TEST_F(StoreToolsTest, OciLayoutReadsWhatWasPut) {
  const auto put = put_list("team/action", "v1");
  const auto layout = unwrap(
      registry::OciLayout::open(path() / "team/action", registry::OciLayout::Mode::existing));
  EXPECT_THAT(unwrap(layout->tags()), ElementsAre("v1"));
  EXPECT_EQ(unwrap(layout->get_manifest("v1")).bytes(), put.bytes);
}

TEST_F(StoreToolsTest, SkopeoReadsWhatWasPutAndItsCopiesAreServed) {
  if (shell("skopeo --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "skopeo is not installed";
  }
  const auto outer = put_list("team", "latest");
  const auto put = put_list("team/action", "v1");
  ASSERT_EQ(outer.digest, put.digest);
  const std::string store_path = "oci:" + path().string();
  ASSERT_EQ(skopeo_copy(store_path + "/team:latest", "dir:" + (scratch() / "out").string()), 0);
  EXPECT_EQ(unwrap(read_file(scratch() / "out/manifest.json", 1 << 20)), put.bytes);
  std::filesystem::create_directory(path() / "copied");  // skopeo makes the last part only
  ASSERT_EQ(skopeo_copy(store_path + "/team/action:v1", store_path + "/copied/here:v2"), 0);
  EXPECT_THAT(unwrap(store().repositories()), ElementsAre("copied/here", "team", "team/action"));
  const auto copied = unwrap(store().find("copied/here"));
  ASSERT_TRUE(copied);
  EXPECT_EQ(*unwrap(copied->manifest("v2"))->bytes, put.bytes);
  const auto child = unwrap(manifest::Index::parse(put.bytes)).manifests.at(0);
  EXPECT_EQ(unwrap(copied->manifest(child.digest))->descriptor.media_type, child.media_type);
  // Into a repository that the server has in memory.
  ASSERT_EQ(skopeo_copy(store_path + "/team:latest", store_path + "/copied/here:v3"), 0);
  EXPECT_THAT(*unwrap(copied->tags()), ElementsAre("v2", "v3"));
}

}  // namespace
}  // namespace fnimage::server
