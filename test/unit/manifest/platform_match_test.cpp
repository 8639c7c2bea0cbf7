// What runs where: the rules of containerd's compare.go, stated as tables.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/platform_match.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using samples::entry;
using samples::platform;
using samples::raw_entry;
using ::testing::ElementsAre;

std::vector<std::string> names_of(std::string_view text) {
  std::vector<std::string> names;
  for (const Platform& candidate : compatible_platforms(platform(text))) {
    names.push_back(candidate.str());
  }
  return names;
}

TEST(CompatiblePlatforms, BestFirst) {
  EXPECT_THAT(names_of("linux/amd64"), ElementsAre("linux/amd64", "linux/386"));
  EXPECT_THAT(names_of("linux/amd64/v3"),
              ElementsAre("linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"));
  EXPECT_THAT(names_of("linux/386"), ElementsAre("linux/386"));
  EXPECT_THAT(names_of("linux/ppc64le"), ElementsAre("linux/ppc64le"));
  EXPECT_THAT(names_of("linux/ppc64le/power9"), ElementsAre("linux/ppc64le/power9"));
  EXPECT_THAT(names_of("linux/arm"), ElementsAre("linux/arm/v7", "linux/arm/v6", "linux/arm/v5"));
  EXPECT_THAT(names_of("linux/arm/v5"), ElementsAre("linux/arm/v5"));
  EXPECT_THAT(names_of("linux/arm64"), ElementsAre("linux/arm64", "linux/arm/v8", "linux/arm/v7",
                                                   "linux/arm/v6", "linux/arm/v5"));
  EXPECT_THAT(names_of("linux/arm64/v8.1"),
              ElementsAre("linux/arm64/v8.1", "linux/arm64", "linux/arm/v8", "linux/arm/v7",
                          "linux/arm/v6", "linux/arm/v5"));
  EXPECT_THAT(names_of("windows/amd64"), ElementsAre("windows/amd64", "windows/386"));
}

TEST(CompatiblePlatforms, Armv9IncludesTheMatchingArmv8) {
  EXPECT_THAT(names_of("linux/arm64/v9"),
              ElementsAre("linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64/v8.4",
                          "linux/arm64/v8.3", "linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64",
                          "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"));
  const std::vector<std::string> names = names_of("linux/arm64/v9.6");
  EXPECT_EQ(names.size(), 7U + 10U + 4U);
  EXPECT_EQ(names[7], "linux/arm64/v8.9");  // there is no 8.10
}

struct Only {
  const char* node;
  std::vector<const char*> runs;
  std::vector<const char*> runs_not;
};

TEST(BestMatch, NodesTakeOnlyWhatTheyRun) {
  const Only table[] = {
      {"linux/amd64",
       {"linux/amd64", "linux/386"},
       {"linux/amd64/v2", "linux/arm/v7", "linux/arm64", "windows/amd64", "linux/ppc64le"}},
      {"linux/amd64/v2",
       {"linux/amd64", "linux/amd64/v1", "linux/amd64/v2", "linux/386"},
       {"linux/amd64/v3", "linux/amd64/v4", "linux/arm64", "windows/amd64"}},
      {"linux/386", {"linux/386"}, {"linux/amd64", "linux/arm/v7", "windows/386"}},
      {"linux/arm/v8",
       {"linux/arm", "linux/arm/v5", "linux/arm/v6", "linux/arm/v8"},
       {"linux/arm/v4", "linux/arm64", "linux/amd64"}},
      {"linux/arm/v6", {"linux/arm/v5", "linux/arm/v6"}, {"linux/arm", "linux/arm/v7"}},
      {"linux/arm/v4", {"linux/arm/v4"}, {"linux/arm", "linux/arm/v5"}},
      {"linux/arm64/v9",
       {"linux/arm64", "linux/arm64/v8.5", "linux/arm64/v9.0", "linux/arm/v8"},
       {"linux/arm64/v8.6", "linux/arm64/v9.1", "linux/arm/v4"}},
      {"linux/arm64", {"linux/arm64/v8", "linux/arm"}, {"linux/arm64/v8.1", "linux/arm64/v9"}},
      {"linux/ppc64le",
       {"linux/ppc64le"},
       {"linux/ppc64le/power9", "linux/ppc64", "linux/amd64", "linux/s390x"}},
  };
  for (const Only& row : table) {
    for (const char* text : row.runs) {
      EXPECT_TRUE(best_match(std::vector{entry("x", text)}, platform(row.node)))
          << row.node << " must take " << text;
    }
    for (const char* text : row.runs_not) {
      EXPECT_FALSE(best_match(std::vector{entry("x", text)}, platform(row.node)))
          << row.node << " must not take " << text;
    }
  }
}

TEST(BestMatch, PrefersTheBestThenTheFirst) {
  const std::vector<Descriptor> entries{entry("a", "linux/386"), entry("b", "linux/amd64"),
                                        entry("c", "linux/amd64/v3"), entry("d", "linux/amd64")};
  EXPECT_EQ(best_match(entries, platform("linux/amd64/v4")), 2U);
  EXPECT_EQ(best_match(entries, platform("linux/amd64/v2")), 1U);
  EXPECT_EQ(best_match(entries, platform("linux/amd64")), 1U);
  EXPECT_EQ(best_match(entries, platform("linux/386")), 0U);
  EXPECT_EQ(best_match(entries, platform("linux/ppc64le")), std::nullopt);
  EXPECT_EQ(best_match({}, platform("linux/amd64")), std::nullopt);
}

TEST(BestMatch, UnderstandsAliasesButNotPpc64el) {
  EXPECT_TRUE(best_match(std::vector{raw_entry("linux", "x86_64")}, platform("amd64")));
  EXPECT_TRUE(best_match(std::vector{raw_entry("linux", "amd64", "v1")}, platform("amd64")));
  EXPECT_TRUE(best_match(std::vector{raw_entry("Linux", "aarch64", "v8")}, platform("arm64")));
  EXPECT_FALSE(best_match(std::vector{raw_entry("linux", "ppc64el")}, platform("ppc64le")));
}

TEST(BestMatch, NeverTakesEntriesWithoutPlatform) {
  Descriptor bare = entry("x", "linux/amd64");
  bare.platform.reset();
  const std::vector<Descriptor> entries{bare, raw_entry("unknown", "unknown"),
                                        entry("y", "linux/amd64")};
  EXPECT_EQ(best_match(entries, platform("amd64")), 2U);
  EXPECT_EQ(best_match(entries, Platform{"unknown", "unknown", {}, {}, {}}), std::nullopt);
}

TEST(BestMatch, FeaturesMustBePresentAndMoreOfThemWin) {
  Descriptor gpu = entry("gpu", "linux/amd64");
  gpu.platform->os_features = {"simd", "gpu"};
  const std::vector<Descriptor> entries{entry("plain", "linux/amd64"), gpu};
  EXPECT_EQ(best_match(entries, platform("amd64")), 0U);
  Platform node = platform("amd64");
  node.os_features = {"gpu", "simd", "erofs"};
  EXPECT_EQ(best_match(entries, node), 1U);
}

TEST(SamePlatform, ComparesNormalForms) {
  EXPECT_TRUE(same_platform(Platform{"linux", "x86_64", "v1", {}, {}}, platform("amd64")));
  EXPECT_FALSE(same_platform(platform("linux/arm/v6"), platform("linux/arm/v7")));
  EXPECT_FALSE(same_platform(platform("linux/amd64"), platform("windows/amd64")));
}

TEST(CompatiblePlatforms, HostileVariantsDoNotLoop) {
  EXPECT_LT(names_of("linux/amd64/v999999999").size(), 3U);
  EXPECT_LT(names_of("linux/arm/v999999999").size(), 3U);
  EXPECT_LT(names_of("linux/arm64/v8.999999").size(), 3U);
}

}  // namespace
}  // namespace fnimage::manifest
