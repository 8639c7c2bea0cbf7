// The two families and the way between them.
#include <array>

#include <gtest/gtest.h>

#include <fnimage/manifest/media_types.hpp>

namespace fnimage::manifest {
namespace {

TEST(MediaTypes, ConvertBothWaysAndLeaveOthers) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> pairs{
      {{media_type::oci_index, media_type::docker_list},
       {media_type::oci_manifest, media_type::docker_manifest},
       {media_type::oci_config, media_type::docker_config},
       {media_type::oci_layer, media_type::docker_layer},
       {media_type::oci_layer_gzip, media_type::docker_layer_gzip},
       {media_type::oci_layer_zstd, media_type::docker_layer_zstd}}};
  for (const auto& [oci, docker] : pairs) {
    EXPECT_EQ(convert_type(oci, Format::docker), docker);
    EXPECT_EQ(convert_type(docker, Format::oci), oci);
    EXPECT_EQ(convert_type(oci, Format::oci), oci);
    EXPECT_EQ(convert_type(docker, Format::docker), docker);
  }
  EXPECT_EQ(convert_type("application/x-other", Format::docker), "application/x-other");
}

TEST(MediaTypes, Kinds) {
  EXPECT_TRUE(is_index_type(media_type::docker_list));
  EXPECT_FALSE(is_index_type(media_type::oci_manifest));
  EXPECT_TRUE(is_manifest_type(media_type::oci_manifest));
  EXPECT_TRUE(is_config_type(media_type::docker_config));
  EXPECT_FALSE(is_config_type(media_type::oci_empty));
  EXPECT_TRUE(is_layer_type(media_type::oci_layer_zstd));
  EXPECT_TRUE(is_layer_type("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
  EXPECT_FALSE(is_layer_type("application/vnd.cncf.helm.chart.content.v1.tar+gzip"));
}

}  // namespace
}  // namespace fnimage::manifest
