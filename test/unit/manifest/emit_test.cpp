// Golden bytes of everything that is hashed: a change here changes the digest of every image.
#include <string>

#include <gtest/gtest.h>

#include <fnimage/manifest/document.hpp>
#include <fnimage/test/golden.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using test::matches_golden;

Descriptor full_descriptor() {
  Descriptor descriptor = samples::blob(media_type::oci_layer_zstd, "hello");
  descriptor.annotations = {{"z", "1"}, {"a", "2"}};
  descriptor.urls = {"https://mirror.example/x"};
  descriptor.data = "hello";
  descriptor.artifact_type = "application/x-thing";
  descriptor.platform = Platform{"windows", "arm64", "v8.1", "10.0", {"a", "b"}};
  return descriptor;
}

TEST(Emit, Config) {
  EXPECT_TRUE(matches_golden(emit(samples::config()), "unit/manifest/golden/config.json"));
  ImageConfig least;
  least.platform = samples::platform("linux/amd64");
  EXPECT_TRUE(matches_golden(emit(least), "unit/manifest/golden/config_least.json"));
}

TEST(Emit, ImageManifest) {
  ImageManifest manifest = samples::image();
  EXPECT_TRUE(matches_golden(emit(manifest), "unit/manifest/golden/image_oci.json"));
  manifest.layers.push_back(full_descriptor());
  manifest.annotations = {{"z", "1"}, {"a", "2"}};
  manifest.artifact_type = "application/x-thing";
  manifest.subject = samples::blob(media_type::oci_manifest, "subject");
  EXPECT_TRUE(matches_golden(emit(manifest), "unit/manifest/golden/image_full.json"));
  EXPECT_TRUE(
      matches_golden(emit(samples::docker_image()), "unit/manifest/golden/image_docker.json"));
}

TEST(Emit, Index) {
  Index index = samples::list();
  EXPECT_TRUE(matches_golden(emit(index), "unit/manifest/golden/index_oci.json"));
  index.format = Format::docker;
  for (Descriptor& descriptor : index.manifests) {
    descriptor.media_type = media_type::docker_manifest;
    descriptor.annotations = {{"not", "known to docker"}};
  }
  index.annotations = {{"not", "known to docker"}};
  EXPECT_TRUE(matches_golden(emit(index), "unit/manifest/golden/list_docker.json"));
}

TEST(Emit, HostileTextStaysValidJson) {
  ImageConfig config = samples::config();
  config.labels = {{"bad\xff", "\x01\"\\\n"}};
  EXPECT_THAT(ImageConfig::parse(emit(config)), test::is_ok());
}

}  // namespace
}  // namespace fnimage::manifest
