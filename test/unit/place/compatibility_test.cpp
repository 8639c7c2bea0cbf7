// Needs as Node Feature Discovery's compatibility, and attaching it to an image.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fnimage/manifest/document.hpp>
#include <fnimage/place/compatibility.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::place {
namespace {

using nlohmann::json;
using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Placement placement_of(const require::Requirements& requirements) {
  return unwrap(
      place(manifest::Descriptor{.media_type = std::string(manifest::media_type::oci_manifest),
                                 .digest = manifest::Digest::of("image"),
                                 .size = 5},
            {.requirements = requirements,
             .config_platform = manifest::Platform{"linux", "ppc64le", "", "", {}}},
            {}));
}

Compatibility compatibility_of(const require::Requirements& requirements) {
  return unwrap(compatibilities_of(placement_of(requirements))).at(0);
}

TEST(Compatibility, FeaturesAreRules) {
  require::Requirements needs{.cpu_features = {"MMA", "VSX"}};
  needs.cpu_level = "power9";
  const json document = json::parse(compatibility_of(needs).json);
  EXPECT_EQ(document["version"], "v1alpha1");
  EXPECT_EQ(document["compatibilities"][0]["rules"],
            json::parse(R"([{"name":"hardware","matchFeatures":[{"feature":"cpu.cpuid",
                "matchExpressions":{"ARCH_3_00":{"op":"Exists"},"MMA":{"op":"Exists"},
                "VSX":{"op":"Exists"}}}]}])"));
}

TEST(Compatibility, GraphicsProcessorsAreDevicesAndLabels) {
  const require::Requirements needs{
      .memory_bytes = 1024,
      .gpu = require::Gpu{.vendor = "nvidia",
                          .memory_bytes = std::uint64_t{16} << 30U,
                          .compute = require::ComputeCapability{7, 5}}};
  const Compatibility compatibility = compatibility_of(needs);
  const json rules = json::parse(compatibility.json)["compatibilities"][0]["rules"];
  ASSERT_THAT(rules, SizeIs(1));
  ASSERT_THAT(rules[0]["matchAny"], SizeIs(2));
  const json& first = rules[0]["matchAny"][0]["matchFeatures"][0];
  EXPECT_EQ(first["feature"], "local.label");
  EXPECT_EQ(first["matchExpressions"]["nvidia.com/gpu.memory"],
            json::parse(R"({"op":"Gt","value":["16383"]})"));
  EXPECT_EQ(rules[0]["matchFeatures"][0]["matchExpressions"]["vendor"]["value"][0], "10de");
  ASSERT_THAT(compatibility.notes, SizeIs(1));
  EXPECT_THAT(compatibility.notes[0], HasSubstr("1Ki of memory is not in it"));
}

TEST(Compatibility, PlacesAreNoFeatures) {
  EXPECT_THAT(compatibilities_of(placement_of({.near = {{"warehouse", "dwh-1"}}})),
              fails_with(ErrorCode::unsupported, HasSubstr("warehouse In dwh-1")));
  EXPECT_THAT(compatibility_of({}).yaml, IsEmpty());
}

TEST(Compatibility, IsAttachedOnce) {
  const auto store = registry::make_memory_store("test");
  const Compatibility compatibility = compatibility_of({.cpu_features = {"MMA"}});
  const auto first = unwrap(attach(*store, compatibility, "2026-01-02T03:04:05Z"));
  EXPECT_FALSE(first.existed);
  const auto again = unwrap(attach(*store, compatibility, "2026-01-02T03:04:05Z"));
  EXPECT_TRUE(again.existed);
  EXPECT_EQ(again.manifest.digest, first.manifest.digest);
  const auto document = unwrap(store->get_manifest(first.manifest.digest));
  const auto artifact = unwrap(document.image());
  EXPECT_EQ(artifact.artifact_type, compatibility_artifact_type);
  EXPECT_EQ(artifact.subject->digest, manifest::Digest::of("image"));
  EXPECT_EQ(artifact.config.media_type, manifest::media_type::oci_empty);
  ASSERT_THAT(artifact.layers, SizeIs(1));
  EXPECT_EQ(artifact.layers[0].media_type, compatibility_layer_type);
  EXPECT_EQ(artifact.annotations.at("org.opencontainers.image.created"), "2026-01-02T03:04:05Z");
  const auto referrers = unwrap(store->referrers(compatibility.image.digest));
  ASSERT_THAT(referrers, SizeIs(1));
  EXPECT_EQ(referrers[0].artifact_type, compatibility_artifact_type);
}

}  // namespace
}  // namespace fnimage::place
