// Requirements in Kubernetes' words; operators by the rules of apimachinery's labels.Requirement.
#include <fnimage/require/selection.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "platforms.hpp"

namespace fnimage::require {
namespace {

using test::unwrap;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

Requirements with_gpu(Gpu gpu) {
  return {.gpu = std::move(gpu)};
}

Expression in(std::string key, std::string value) {
  return {.key = std::move(key), .op = Operator::in, .values = {std::move(value)}};
}
Expression gt(std::string key, std::string value) {
  return {.key = std::move(key), .op = Operator::gt, .values = {std::move(value)}};
}

TEST(Operators, FollowKubernetes) {
  const std::map<std::string, std::string> labels{
      {"a", "x"}, {"n", "16384"}, {"word", "16G"}, {"empty", ""}, {"big", "9223372036854775808"}};
  const auto holds = [&](std::string key, Operator op, std::vector<std::string> values) {
    return matches(Expression{std::move(key), op, std::move(values)}, labels);
  };
  EXPECT_TRUE(holds("a", Operator::in, {"y", "x"}));
  EXPECT_FALSE(holds("a", Operator::in, {"y"}));
  EXPECT_FALSE(holds("b", Operator::in, {"x"}));
  EXPECT_FALSE(holds("b", Operator::in, {""}));
  EXPECT_TRUE(holds("empty", Operator::in, {""}));
  EXPECT_FALSE(holds("a", Operator::not_in, {"x"}));
  EXPECT_TRUE(holds("a", Operator::not_in, {"y"}));
  EXPECT_TRUE(holds("b", Operator::not_in, {"x"}));
  EXPECT_TRUE(holds("a", Operator::exists, {}));
  EXPECT_FALSE(holds("b", Operator::exists, {}));
  EXPECT_FALSE(holds("a", Operator::does_not_exist, {}));
  EXPECT_TRUE(holds("b", Operator::does_not_exist, {}));
  EXPECT_TRUE(holds("n", Operator::gt, {"16383"}));
  EXPECT_FALSE(holds("n", Operator::gt, {"16384"}));
  EXPECT_TRUE(holds("n", Operator::gt, {"-1"}));
  EXPECT_TRUE(holds("n", Operator::lt, {"16385"}));
  EXPECT_FALSE(holds("n", Operator::lt, {"16384"}));
  EXPECT_FALSE(holds("word", Operator::gt, {"1"}));
  EXPECT_FALSE(holds("empty", Operator::gt, {"-1"}));
  EXPECT_FALSE(holds("big", Operator::gt, {"1"}));
  EXPECT_FALSE(holds("b", Operator::lt, {"1"}));
  EXPECT_FALSE(holds("n", Operator::gt, {"x"}));
  EXPECT_FALSE(holds("n", Operator::gt, {}));
  EXPECT_EQ(to_string(Operator::does_not_exist), "DoesNotExist");
  EXPECT_EQ(to_string(Operator::not_in), "NotIn");
}

TEST(Terms, OfNothingAreOneEmptyTerm) {
  EXPECT_THAT(terms_of({}, amd64), ElementsAre(IsEmpty()));
  EXPECT_THAT(terms_of({.cpu_millis = 1, .memory_bytes = 1, .tolerations = {{.key = "a"}}}, amd64),
              ElementsAre(IsEmpty()));
}

TEST(Terms, OfLevelsAreLabelsOfNodeFeatureDiscovery) {
  const std::string prefix = "feature.node.kubernetes.io/cpu-cpuid.";
  EXPECT_THAT(terms_of({.cpu_level = "v3"}, amd64),
              ElementsAre(ElementsAre(in(prefix + "X86_64_V3", "true"))));
  EXPECT_THAT(terms_of({.cpu_level = "power8"}, power),
              ElementsAre(ElementsAre(in(prefix + "ARCH_2_07", "true"))));
  EXPECT_THAT(terms_of({.cpu_level = "power9"}, power),
              ElementsAre(ElementsAre(in(prefix + "ARCH_3_00", "true"))));
  EXPECT_THAT(
      terms_of({.cpu_level = "power10", .cpu_features = {"MMA"}}, power),
      ElementsAre(ElementsAre(in(prefix + "ARCH_3_1", "true"), in(prefix + "MMA", "true"))));
  // Of another architecture: a label that no node has.
  EXPECT_THAT(terms_of({.cpu_level = "v3"}, power),
              ElementsAre(ElementsAre(in(prefix + "v3", "true"))));
}

TEST(Terms, OfMemoryCountWholeMebibytes) {
  const auto memory = [](std::uint64_t bytes) {
    return terms_of(with_gpu({.vendor = "nvidia", .memory_bytes = bytes}), amd64);
  };
  const std::string key = "nvidia.com/gpu.memory";
  EXPECT_THAT(memory(16384 * mebibyte), ElementsAre(ElementsAre(gt(key, "16383"))));
  EXPECT_THAT(memory(16384 * mebibyte + 1), ElementsAre(ElementsAre(gt(key, "16384"))));
  EXPECT_THAT(memory(16384 * mebibyte - 1), ElementsAre(ElementsAre(gt(key, "16383"))));
  EXPECT_THAT(memory(1), ElementsAre(ElementsAre(gt(key, "0"))));
}

TEST(Terms, OfComputeCapabilityMayBeTwo) {
  const auto compute = [](unsigned major, unsigned minor) {
    return terms_of(with_gpu({.vendor = "nvidia", .compute = ComputeCapability{major, minor}}),
                    amd64);
  };
  const std::string major = "nvidia.com/gpu.compute.major";
  const std::string minor = "nvidia.com/gpu.compute.minor";
  EXPECT_THAT(compute(9, 0), ElementsAre(ElementsAre(gt(major, "8"))));
  EXPECT_THAT(compute(7, 5), ElementsAre(ElementsAre(in(major, "7"), gt(minor, "4")),
                                         ElementsAre(gt(major, "7"))));
  // What else is needed is in each of them.
  EXPECT_THAT(terms_of({.gpu = Gpu{.vendor = "nvidia", .compute = ComputeCapability{7, 5}},
                        .near = {{"warehouse", "dwh-1"}}},
                       amd64),
              ElementsAre(ElementsAre(in(major, "7"), gt(minor, "4"), in("warehouse", "dwh-1")),
                          ElementsAre(gt(major, "7"), in("warehouse", "dwh-1"))));
}

TEST(Terms, OfTpusAreThoseOfTheirNodePools) {
  EXPECT_THAT(
      terms_of({.tpu = Tpu{.count = 4, .accelerator = "tpu-v6e-slice", .topology = "2x2"}}, amd64),
      ElementsAre(ElementsAre(in("cloud.google.com/gke-tpu-accelerator", "tpu-v6e-slice"),
                              in("cloud.google.com/gke-tpu-topology", "2x2"))));
  EXPECT_THAT(terms_of({.tpu = Tpu{}}, amd64), ElementsAre(IsEmpty()));
}

TEST(Resources, AreWrittenAsKubernetesDoes) {
  EXPECT_THAT(resources_of({}), IsEmpty());
  EXPECT_THAT(resources_of({.cpu_millis = 2500,
                            .memory_bytes = 8192 * mebibyte,
                            .gpu = Gpu{.vendor = "nvidia", .count = 2},
                            .tpu = Tpu{.count = 4}}),
              UnorderedElementsAre(Pair("cpu", "2500m"), Pair("memory", "8Gi"),
                                   Pair("nvidia.com/gpu", "2"), Pair("google.com/tpu", "4")));
  EXPECT_THAT(resources_of(with_gpu({.vendor = "amd"})), ElementsAre(Pair("amd.com/gpu", "1")));
  EXPECT_THAT(resources_of(with_gpu({.vendor = "intel"})),
              ElementsAre(Pair("gpu.intel.com/i915", "1")));
  EXPECT_THAT(resources_of(with_gpu({.vendor = "intel-xe"})),
              ElementsAre(Pair("gpu.intel.com/xe", "1")));
  // Not known: what no node offers.
  EXPECT_THAT(resources_of(with_gpu({.vendor = "acme"})),
              ElementsAre(Pair("acme.invalid/gpu", "1")));
}

TEST(Tolerations, CoverWhatIsConventional) {
  const Toleration arch{.key = "kubernetes.io/arch", .value = "ppc64le", .effect = "NoSchedule"};
  EXPECT_THAT(tolerations_of({}, power), ElementsAre(arch));
  const Toleration own{.key = "dedicated", .value = "science"};
  const Toleration gpu{.key = "nvidia.com/gpu", .effect = "NoSchedule"};
  EXPECT_THAT(tolerations_of({.gpu = Gpu{.vendor = "nvidia"}, .tolerations = {own}}, power),
              ElementsAre(own, gpu, arch));
  EXPECT_THAT(tolerations_of({.gpu = Gpu{.vendor = "nvidia"}, .tolerations = {gpu}}, power),
              ElementsAre(gpu, arch));
  EXPECT_THAT(tolerations_of({.tpu = Tpu{}}, power),
              ElementsAre(Toleration{.key = "google.com/tpu", .effect = "NoSchedule"}, arch));
}

}  // namespace
}  // namespace fnimage::require
