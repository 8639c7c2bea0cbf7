// Image manifests and lists: V5, V6, V11, and the order of a list.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/index.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using nlohmann::json;
using samples::entry;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> platforms_of(const Index& index) {
  std::vector<std::string> names;
  for (const Descriptor& descriptor : index.manifests) {
    names.push_back(descriptor.platform ? descriptor.platform->str() : "-");
  }
  return names;
}

TEST(Index, ComesBackFromItsBytes) {
  Index index = samples::list();
  index.annotations = {{"a", "b"}};
  index.artifact_type = "application/x-thing";
  index.subject = samples::blob(media_type::oci_manifest, "subject");
  EXPECT_EQ(unwrap(Index::parse(emit(index))), index);
  index = samples::list();
  index.format = Format::docker;
  EXPECT_EQ(unwrap(Index::parse(emit(index))), index);
}

TEST(Index, EqualSetsGiveEqualBytes) {
  std::vector<Descriptor> entries{entry("a", "linux/amd64"), entry("b", "linux/ppc64le"),
                                  entry("d", "linux/amd64/v3"), entry("e", "linux/arm/v7"),
                                  entry("f", "windows/amd64")};
  Descriptor bare = entry("g", "linux/amd64");
  bare.platform.reset();
  entries.push_back(bare);
  std::string expected;
  std::sort(entries.begin(), entries.end(),
            [](const Descriptor& x, const Descriptor& y) { return x.digest < y.digest; });
  do {
    Index index;
    for (const Descriptor& descriptor : entries) {
      index.put(descriptor);
    }
    const std::string bytes = emit(index);
    expected = expected.empty() ? bytes : expected;
    ASSERT_EQ(bytes, expected);
    ASSERT_THAT(platforms_of(index), ElementsAre("linux/amd64", "linux/amd64/v3", "linux/arm/v7",
                                                 "linux/ppc64le", "windows/amd64", "-"));
  } while (std::next_permutation(
      entries.begin(), entries.end(),
      [](const Descriptor& x, const Descriptor& y) { return x.digest < y.digest; }));
}

TEST(Index, PutReplacesTheSamePlatformOnly) {
  Index index = samples::list();
  index.put(entry("new", "linux/amd64"));
  EXPECT_THAT(platforms_of(index), ElementsAre("linux/amd64", "linux/ppc64le"));
  EXPECT_EQ(index.manifests[0].digest, Digest::of("new"));
  index.put(entry("new", "linux/amd64/v3"));
  EXPECT_EQ(index.manifests.size(), 3U);
}

TEST(Index, PutKeepsAttestationsApart) {
  Index index = samples::list();
  Descriptor one = samples::raw_entry("unknown", "unknown");
  Descriptor two = one;
  two.digest = Digest::of("other attestation");
  index.put(one);
  index.put(two);
  index.put(two);
  EXPECT_EQ(index.manifests.size(), 4U);
}

TEST(Index, NeedsManifestsButNotEntries) {
  EXPECT_THAT(Index::parse(R"({"schemaVersion":2,"manifests":[]})"), is_ok());
  EXPECT_THAT(Index::parse(R"({"schemaVersion":2})"),
              fails_with(ErrorCode::invalid_input, "list: /manifests: missing"));
  EXPECT_THAT(Index::parse(R"({"schemaVersion":2,"manifests":null})"),
              fails_with(ErrorCode::invalid_input));
}

TEST(Index, NestedAndUnknownChildrenAreKept) {
  Index index = samples::list();
  index.manifests[0].media_type = media_type::oci_index;
  index.manifests[1].media_type = "application/vnd.other.v1+json";
  EXPECT_EQ(unwrap(Index::parse(emit(index))), index);
}

TEST(Index, RefusesConfusionAndWrongSchema) {
  json value = json::parse(emit(samples::list()));
  for (const char* key : {"layers", "config"}) {
    json both = value;
    both[key] = json::array();
    EXPECT_THAT(Index::parse(both.dump()), fails_with(ErrorCode::invalid_input, HasSubstr(key)));
  }
  json old = value;
  old["schemaVersion"] = 1;
  EXPECT_THAT(Index::parse(old.dump()),
              fails_with(ErrorCode::invalid_input, HasSubstr("instead of 2")));
  json other = value;
  other["mediaType"] = media_type::oci_manifest;
  EXPECT_THAT(Index::parse(other.dump()),
              fails_with(ErrorCode::invalid_input, HasSubstr("/mediaType")));
  json broken = value;
  broken["manifests"][1]["size"] = "many";
  EXPECT_THAT(Index::parse(broken.dump()),
              fails_with(ErrorCode::invalid_input, "list: /manifests/1/size: not a whole number"));
}

TEST(Index, HoldsTheEntryLimit) {
  // Small enough in bytes to reach the count: the entries need not be well formed to be counted.
  std::string text = R"({"schemaVersion":2,"manifests":[{})";
  for (int i = 0; i < 10'000; ++i) {
    text += ",{}";
  }
  text += "]}";
  EXPECT_THAT(Index::parse(text),
              fails_with(ErrorCode::invalid_input, HasSubstr("more than 10000")));
  EXPECT_THAT(Index::parse(R"({"schemaVersion":2,"manifests":[{},{},{}]})", {.max_entries = 2}),
              fails_with(ErrorCode::invalid_input, HasSubstr("more than 2 ")));
}

TEST(ImageManifest, ComesBackFromItsBytes) {
  ImageManifest manifest = samples::image();
  manifest.annotations = {{"a", "b"}};
  manifest.layers[0].annotations = {{"c", "d"}};
  manifest.subject = samples::blob(media_type::oci_manifest, "subject");
  EXPECT_EQ(unwrap(ImageManifest::parse(emit(manifest))), manifest);
  EXPECT_EQ(unwrap(ImageManifest::parse(emit(samples::docker_image()))), samples::docker_image());
}

TEST(ImageManifest, FamilyWithoutMediaTypeFollowsTheConfig) {
  json value = json::parse(emit(samples::docker_image()));
  value.erase("mediaType");
  EXPECT_EQ(unwrap(ImageManifest::parse(value.dump())).format, Format::docker);
}

TEST(ImageManifest, RefusesWhatTheSpecForbids) {
  const json value = json::parse(emit(samples::image()));
  json both = value;
  both["manifests"] = json::array();
  EXPECT_THAT(ImageManifest::parse(both.dump()),
              fails_with(ErrorCode::invalid_input, HasSubstr("manifest: /manifests")));
  for (const char* key : {"config", "layers", "schemaVersion"}) {
    json without = value;
    without.erase(key);
    EXPECT_THAT(
        ImageManifest::parse(without.dump()),
        fails_with(ErrorCode::invalid_input, std::string("manifest: /") + key + ": missing"));
  }
  json artifact = value;
  artifact["config"]["mediaType"] = media_type::oci_empty;
  EXPECT_THAT(ImageManifest::parse(artifact.dump()),
              fails_with(ErrorCode::invalid_input, HasSubstr("/artifactType: missing")));
  artifact["artifactType"] = "application/x-thing";
  EXPECT_THAT(ImageManifest::parse(artifact.dump()), is_ok());
}

TEST(ImageManifest, UnknownTypesAreKept) {
  ImageManifest manifest = samples::image();
  manifest.config.media_type = "application/vnd.cncf.helm.config.v1+json";
  manifest.layers[0].media_type = "application/vnd.wasm.content.layer.v1+wasm";
  EXPECT_EQ(unwrap(ImageManifest::parse(emit(manifest))), manifest);
}

}  // namespace
}  // namespace fnimage::manifest
