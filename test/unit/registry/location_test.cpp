// How people write where an image is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/registry/location.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::registry {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

TEST(Location, TellsRegistryLayoutAndLocalNameApart) {
  EXPECT_EQ(unwrap(parse_location("serverless:30501/action:v1")).kind, Location::Kind::registry);
  EXPECT_EQ(unwrap(parse_location("action:v1")).kind, Location::Kind::local);
  EXPECT_EQ(unwrap(parse_location("team/action")).kind, Location::Kind::local);
  EXPECT_EQ(unwrap(parse_location("oci:out")).kind, Location::Kind::layout);
}

TEST(Location, LayoutTagMayHoldColonsThePathMayNot) {
  const auto location = unwrap(parse_location("oci:/tmp/out:serverless:30501/action:v1"));
  EXPECT_EQ(location.directory, "/tmp/out");
  EXPECT_EQ(location.tag, "serverless:30501/action:v1");
  EXPECT_EQ(location.str(), "oci:/tmp/out:serverless:30501/action:v1");
}

TEST(Location, ArchivesAreFilesWithAnImageInThem) {
  const auto oci = unwrap(parse_location("oci-archive:out/a.tar:v1"));
  EXPECT_EQ(oci.kind, Location::Kind::oci_archive);
  EXPECT_EQ(oci.directory, "out/a.tar");
  EXPECT_EQ(oci.tag, "v1");
  const auto docker = unwrap(parse_location("docker-archive:a.tar:team/action:v1"));
  EXPECT_EQ(docker.kind, Location::Kind::docker_archive);
  EXPECT_EQ(docker.tag, "team/action:v1");
  EXPECT_EQ(docker.str(), "docker-archive:a.tar:team/action:v1");
}

TEST(Location, RefusesWhatNamesNothing) {
  for (const char* text : {"oci:", "oci::tag", "oci:dir:", "oci-archive:", "docker-archive:a:"}) {
    EXPECT_THAT(parse_location(text), fails_with(ErrorCode::invalid_argument)) << text;
  }
}

TEST(Location, NamesTransportsOfOtherTools) {
  EXPECT_THAT(parse_location("docker-daemon:x"),
              fails_with(ErrorCode::invalid_argument, HasSubstr("docker-daemon:")));
}

TEST(Location, TakesSkopeosPrefixOfRegistries) {
  const Location location = unwrap(parse_location("docker://serverless:30501/action:v1"));
  EXPECT_EQ(location.kind, Location::Kind::registry);
  EXPECT_EQ(location.str(), "serverless:30501/action:v1");
  EXPECT_THAT(parse_location("docker://action"),
              fails_with(ErrorCode::invalid_argument, HasSubstr("names no registry")));
}

}  // namespace
}  // namespace fnimage::registry
