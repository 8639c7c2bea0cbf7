// What each format says, and what it refuses to say.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fnimage/place/format.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "validity.hpp"

namespace fnimage::place {
namespace {

using nlohmann::json;
using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Placement placement_of(std::initializer_list<const char*> architectures,
                       const require::Requirements& requirements = {}) {
  manifest::Index list;
  for (const char* architecture : architectures) {
    list.manifests.push_back({.media_type = std::string(manifest::media_type::oci_manifest),
                              .digest = manifest::Digest::of(architecture),
                              .size = 1});
    list.manifests.back().platform = manifest::Platform{"linux", architecture, "", "", {}};
  }
  return unwrap(place(
      list, std::vector<ImageFacts>(list.manifests.size(), {.requirements = requirements}), {}));
}

const Target& target() {
  static const Target image{.image = "127.0.0.1:1/f@" + manifest::Digest::of("list").str(),
                            .name = "Digits.v2"};
  return image;
}

Rendered rendered(const Placement& placement, Format format) {
  return unwrap(render(placement, format, target()));
}

const require::Requirements needs_gpu{.gpu = require::Gpu{.vendor = "nvidia"}};

TEST(Formats, NamesAreReadAndRefused) {
  for (const char* name : {"affinity", "selector", "json-patch", "openwhisk", "invoker-tags",
                           "knative", "openfaas", "pod", "nfd"}) {
    EXPECT_EQ(to_string(unwrap(parse_format(name))), name);
  }
  EXPECT_THAT(parse_format("helm"), fails_with(ErrorCode::invalid_argument, HasSubstr("helm")));
}

TEST(Formats, YamlOfAnAffinity) {
  EXPECT_EQ(
      rendered(placement_of({"ppc64le", "amd64"}, {.near = {{"on", "1"}}}), Format::affinity).yaml,
      R"(# Part of a pod's spec.
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions:
        - key: kubernetes.io/os
          operator: In
          values:
          - linux
        - key: kubernetes.io/arch
          operator: In
          values:
          - amd64
          - ppc64le
        - key: "on"
          operator: In
          values:
          - "1"
tolerations:
- key: kubernetes.io/arch
  operator: Equal
  value: amd64
  effect: NoSchedule
- key: kubernetes.io/arch
  operator: Equal
  value: ppc64le
  effect: NoSchedule
)");
}

TEST(Formats, OpenwhiskOfOneArchitectureIsASelector) {
  const Rendered one = rendered(placement_of({"ppc64le"}), Format::openwhisk);
  const json spec = json::parse(one.json).at("spec");
  EXPECT_EQ(spec.at("nodeSelector"),
            json({{"kubernetes.io/os", "linux"}, {"kubernetes.io/arch", "ppc64le"}}));
  EXPECT_FALSE(spec.contains("affinity"));
  EXPECT_THAT(one.yaml, HasSubstr("may stay on"));
}

TEST(Formats, OpenwhiskOfMoreFoldsTheInvokersOwnTerm) {
  const Rendered both =
      rendered(placement_of({"ppc64le", "amd64"}, {.memory_bytes = std::uint64_t{2} << 30U}),
               Format::openwhisk);
  const json spec = json::parse(both.json).at("spec");
  EXPECT_EQ(spec.at("nodeSelector"), json({{"kubernetes.io/os", "linux"}}));
  const json& terms = spec["affinity"]["nodeAffinity"]
                          ["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
  ASSERT_THAT(terms, SizeIs(1));
  EXPECT_EQ(terms[0]["matchExpressions"][1]["key"], "openwhisk-role");
  EXPECT_EQ(spec["containers"], json::array({{{"name", "user-action"}}}));
  EXPECT_THAT(both.yaml, HasSubstr("user-pod-node-affinity.enabled to false"));
  EXPECT_THAT(both.yaml, HasSubstr("--memory 2048"));
  EXPECT_THAT(render(placement_of({"amd64"}, needs_gpu), Format::openwhisk, {}),
              fails_with(ErrorCode::unsupported, HasSubstr("nvidia.com/gpu")));
}

TEST(Formats, TagsOfInvokers) {
  const Rendered tags = rendered(placement_of({"ppc64le"}, needs_gpu), Format::invoker_tags);
  const json value = json::parse(tags.json);
  EXPECT_EQ(value["annotations"]["invoker-resources"], json({"ppc64le", "gpu"}));
  EXPECT_EQ(value["whisk.invoker.resource.tags"][0]["nodes"][0]["key"], "kubernetes.io/arch");
  EXPECT_THAT(tags.yaml, HasSubstr("untagged invokers first"));
  EXPECT_EQ(json::parse(rendered(placement_of({"ppc64le", "amd64"}), Format::invoker_tags)
                            .json)["annotations"]["invoker-resources"],
            json::array({"amd64-or-ppc64le"}));
  EXPECT_THAT(
      render(placement_of({"amd64"},
                          {.gpu = require::Gpu{.vendor = "nvidia",
                                               .compute = require::ComputeCapability{7, 5}}}),
             Format::invoker_tags, {}),
      fails_with(ErrorCode::unsupported, HasSubstr("2 kinds")));
}

TEST(Formats, OpenfaasHasAProfileForTheRest) {
  const json one =
      json::parse(rendered(placement_of({"amd64"}, {.cpu_millis = 500}), Format::openfaas).json);
  ASSERT_EQ(one["kind"], "List");
  const json& function = one["items"][0];
  EXPECT_THAT(validity::faults_of_object(function), IsEmpty());
  EXPECT_EQ(function["spec"]["constraints"],
            json({"kubernetes.io/arch=amd64", "kubernetes.io/os=linux"}));
  EXPECT_EQ(function["spec"]["requests"], json({{"cpu", "500m"}}));
  EXPECT_EQ(function["spec"]["annotations"]["com.openfaas.profile"], "digits-v2");
  EXPECT_THAT(validity::faults_of_spec(one["items"][1]["spec"], false), IsEmpty());
  EXPECT_FALSE(one["items"][1]["spec"].contains("affinity"));
  const json two = json::parse(rendered(placement_of({"amd64", "ppc64le"}), Format::openfaas).json);
  EXPECT_FALSE(two["items"][0]["spec"].contains("constraints"));
  EXPECT_TRUE(two["items"][1]["spec"].contains("affinity"));
  EXPECT_THAT(render(placement_of({"amd64"}, needs_gpu), Format::openfaas, target()),
              fails_with(ErrorCode::unsupported, HasSubstr("nvidia.com/gpu")));
}

TEST(Formats, SelectorsSayOneValueOnly) {
  EXPECT_THAT(
      render(placement_of({"amd64", "ppc64le"}), Format::selector, {}),
      fails_with(ErrorCode::unsupported, HasSubstr("kubernetes.io/arch In amd64, ppc64le")));
}

TEST(Formats, ImagesHaveToBeNamed) {
  for (const Format format : {Format::pod, Format::knative, Format::openfaas}) {
    EXPECT_THAT(render(placement_of({"amd64"}), format, {}),
                fails_with(ErrorCode::invalid_argument));
  }
  EXPECT_THAT(rendered(placement_of({"amd64"}), Format::knative).yaml,
              HasSubstr("\"kubernetes.podspec-nodeselector\":\"enabled\""));
}

TEST(Formats, PatchesOfPodsThatAreNone) {
  for (const char* text :
       {"[]", R"({"kind":"Node","spec":{}})", R"({"kind":"Pod"})", R"({"spec":{"affinity":[]}})",
        R"({"spec":{"nodeSelector":7}})", R"({"spec":{"tolerations":{}}})",
        R"({"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms":[{"matchExpressions":[{"key":1}]}]}}}}})",
        R"({"spec":{"containers":[7]}})",
        R"({"spec":{"containers":[{"resources":{"requests":{"memory":"lots"}}}]}})",
        R"({"spec":{"containers":[]}})"}) {
    const json pod = json::parse(text);
    const Target one{.image = {}, .name = {}, .pod = &pod};
    EXPECT_THAT(render(placement_of({"amd64"}, {.memory_bytes = 1}), Format::json_patch, one),
                fails_with(ErrorCode::invalid_input, HasSubstr("the pod to patch")))
        << text;
  }
}

}  // namespace
}  // namespace fnimage::place
