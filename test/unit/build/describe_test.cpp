// Descriptions: sizes count blobs once, and what is missing is described instead of failing.
#include <fnimage/build/describe.hpp>

#include "build_fixture.hpp"

namespace fnimage::build {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(Describe, CountsSharedBlobsOnce) {
  const test::TempDir project;
  World world;
  const BuildResult built = unwrap(world.build(scratch_spec(project)));
  const Description description = unwrap(describe(*world.store, std::string("demo:latest")));
  EXPECT_TRUE(description.is_list);
  ASSERT_THAT(description.images, SizeIs(2));
  EXPECT_EQ(description.annotations.at("org.example.team"), "a");
  std::uint64_t shared = 0;
  std::uint64_t own = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const DescribedImage& image = description.images[i];
    EXPECT_EQ(image.problem, "");
    EXPECT_EQ(image.platform, image.config->platform);
    const auto& layers = built.platforms[i].layers;
    shared = layers[0].descriptor.size + layers[2].descriptor.size;
    own += layers[1].descriptor.size + image.manifest->config.size;
  }
  EXPECT_EQ(description.shared_size, shared);
  EXPECT_EQ(description.total_size, shared + own);
}

TEST(Describe, ASingleImageIsNoList) {
  const test::TempDir project;
  World world;
  const BuildResult built = unwrap(world.build(scratch_spec(project)));
  const Description description =
      unwrap(describe(*world.store, built.platforms[1].manifest.digest));
  EXPECT_FALSE(description.is_list);
  ASSERT_THAT(description.images, SizeIs(1));
  EXPECT_EQ(description.images[0].platform, platform("linux/ppc64le"));
  EXPECT_EQ(description.shared_size, 0U);
}

TEST(Describe, MissingChildIsAProblemNotAnError) {
  World world;
  manifest::Descriptor child{.media_type = std::string(manifest::media_type::oci_manifest),
                             .digest = manifest::Digest::of("missing"),
                             .size = 7};
  child.platform = platform("linux/amd64");
  const auto list = manifest::Document::of(manifest::Index{.manifests = {child}});
  unwrap(world.store->put_manifest(list, "half"));
  const Description description = unwrap(describe(*world.store, std::string("half")));
  ASSERT_THAT(description.images, SizeIs(1));
  EXPECT_NE(description.images[0].problem, "");
  EXPECT_EQ(description.images[0].platform, platform("linux/amd64"));
  EXPECT_THAT(describe(*world.store, std::string("other")), fails_with(ErrorCode::not_found));
}

}  // namespace
}  // namespace fnimage::build
