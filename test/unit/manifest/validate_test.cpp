// The rules between fields: what no runtime copes with is fatal, what some cope with is reported.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/validate.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using samples::entry;
using samples::raw_entry;
using test::fails_with;
using test::is_ok;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// "path!" for fatal findings, "path" for others.
std::vector<std::string> summary(const std::vector<Finding>& findings) {
  std::vector<std::string> paths;
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.message.empty());
    EXPECT_FALSE(finding.fix.empty());
    paths.push_back(finding.path + (finding.fatal ? "!" : ""));
  }
  return paths;
}

std::vector<std::string> list_of(std::vector<Descriptor> entries) {
  Index index;
  index.manifests = std::move(entries);
  return summary(validate(index));
}

TEST(ValidateIndex, GoodListHasNoFindings) {
  EXPECT_THAT(summary(validate(samples::list())), IsEmpty());
  EXPECT_THAT(list_of({entry("a", "linux/amd64"), entry("b", "linux/arm64"),
                       entry("c", "linux/arm/v6"), entry("d", "linux/arm/v7")}),
              IsEmpty());
}

TEST(ValidateIndex, NamesThatRuntimesDoNotKnow) {
  EXPECT_THAT(list_of({raw_entry("linux", "ppc64el")}),
              ElementsAre("/manifests/0/platform/architecture!"));
  EXPECT_THAT(list_of({raw_entry("linux", "x86_64")}),
              ElementsAre("/manifests/0/platform/architecture"));
  EXPECT_THAT(list_of({raw_entry("linux", "newarch")}),
              ElementsAre("/manifests/0/platform/architecture"));
  EXPECT_THAT(list_of({raw_entry("Linux", "amd64")}), ElementsAre("/manifests/0/platform/os"));
}

TEST(ValidateIndex, VariantsOfBaselineArchitectures) {
  EXPECT_THAT(list_of({raw_entry("linux", "ppc64le", "power9")}),
              ElementsAre("/manifests/0/platform/variant!"));
  EXPECT_THAT(list_of({entry("a", "linux/ppc64le"), raw_entry("linux", "ppc64le", "power9")}),
              ElementsAre("/manifests/1/platform/variant"));
  EXPECT_THAT(list_of({raw_entry("linux", "amd64", "v3")}),
              ElementsAre("/manifests/0/platform/variant"));
}

TEST(ValidateIndex, OneEntryForEachPlatform) {
  EXPECT_THAT(list_of({entry("a", "linux/amd64"), entry("b", "linux/amd64")}),
              ElementsAre("/manifests/1/platform!"));
  EXPECT_THAT(list_of({entry("a", "linux/arm64"), raw_entry("linux", "arm64", "v8")}),
              ElementsAre("/manifests/1/platform!"));
}

TEST(ValidateIndex, PlatformFamilyAndSize) {
  Descriptor bare = entry("a", "linux/amd64");
  bare.platform.reset();
  EXPECT_THAT(list_of({bare}), ElementsAre("/manifests/0/platform!"));
  Descriptor docker = entry("a", "linux/amd64");
  docker.media_type = media_type::docker_manifest;
  EXPECT_THAT(list_of({docker}), ElementsAre("/manifests/0/mediaType"));
  Descriptor empty = entry("a", "linux/amd64");
  empty.size = 0;
  EXPECT_THAT(list_of({empty}), ElementsAre("/manifests/0/size!"));
  EXPECT_THAT(list_of({raw_entry("unknown", "unknown")}), ElementsAre("/manifests/0/platform"));
  EXPECT_THAT(list_of({}), ElementsAre("/manifests"));
}

TEST(ValidateManifest, FamilyAndSizes) {
  EXPECT_THAT(summary(validate(samples::image())), IsEmpty());
  EXPECT_THAT(summary(validate(samples::docker_image())), IsEmpty());
  ImageManifest mixed = samples::image();
  mixed.layers[1].media_type = media_type::docker_layer_gzip;
  mixed.config.size = 0;
  EXPECT_THAT(summary(validate(mixed)), ElementsAre("/config/size!", "/layers/1/mediaType!"));
  ImageManifest other = samples::image();
  other.layers[0].media_type = "application/vnd.other";
  EXPECT_THAT(summary(validate(other)), IsEmpty());
}

TEST(ValidateConfig, CountsAndPlatform) {
  EXPECT_THAT(summary(validate(samples::image(), samples::config())), IsEmpty());
  ImageConfig config = samples::config();
  config.diff_ids.pop_back();
  EXPECT_THAT(summary(validate(samples::image(), config)), ElementsAre("/rootfs/diff_ids!"));
  config = samples::config();
  config.history.pop_back();
  EXPECT_THAT(summary(validate(samples::image(), config)), ElementsAre("/history!"));
  config = samples::config();
  config.platform.architecture.clear();
  EXPECT_THAT(summary(validate(samples::image(), config)), ElementsAre("/architecture!"));
  config.platform.architecture = "ppc64el";
  EXPECT_THAT(summary(validate(samples::image(), config)), ElementsAre("/architecture!"));
}

TEST(RequireValid, ListsFatalFindingsOnly) {
  Index index;
  index.manifests = {raw_entry("linux", "x86_64"), raw_entry("linux", "ppc64el")};
  const auto result = require_valid(validate(index), "list of action:latest");
  ASSERT_THAT(result, fails_with(ErrorCode::invalid_input,
                                 HasSubstr("list of action:latest: /manifests/1/platform")));
  EXPECT_EQ(result.error().message().find("/manifests/0"), std::string::npos);
  EXPECT_EQ(result.error().hint(), "write ppc64le");
  index.manifests.pop_back();
  EXPECT_THAT(require_valid(validate(index), "x"), is_ok());
  EXPECT_THAT(require_valid({}, "x"), is_ok());
}

}  // namespace
}  // namespace fnimage::manifest
