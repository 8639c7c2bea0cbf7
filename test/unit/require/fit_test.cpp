// Nodes that fit, that lack something and that do not say. fits() has to agree with fit() always.
#include <fmt/format.h>

#include <fnimage/require/fit.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "platforms.hpp"

namespace fnimage::require {
namespace {

using node::Node;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string cpuid = "feature.node.kubernetes.io/cpu-cpuid.";

Node described() {
  return {.name = "worker-1",
          .machine = {amd64, ""},
          .allocatable = {.cpu_millis = 7910, .memory_bytes = 30 * gibibyte},
          .is_described = true};
}

Node gpu_node() {
  Node node = described();
  node.labels = {{"nvidia.com/gpu.memory", "15360"},
                 {"nvidia.com/gpu.compute.major", "7"},
                 {"nvidia.com/gpu.compute.minor", "5"}};
  node.allocatable.others = {{"nvidia.com/gpu", 1}};
  node.taints = {{"nvidia.com/gpu", "present", "NoSchedule"}};
  return node;
}

Node of_platform(std::string level = {}) {
  return {.name = "amd64", .machine = {amd64, std::move(level)}};
}

Fit judge(const Requirements& requirements, const Node& node) {
  Fit found = fit(requirements, amd64, node);
  EXPECT_EQ(fits(requirements, amd64, node), found.is_good());
  return found;
}

TEST(Fits, NothingIsNeeded) {
  for (const Node& node : {described(), of_platform(), Node{}}) {
    const Fit found = judge({}, node);
    EXPECT_TRUE(found.is_good());
    EXPECT_THAT(found.unknown, IsEmpty());
  }
}

TEST(Fits, WhatIsAllocatableCounts) {
  EXPECT_TRUE(judge({.cpu_millis = 7910, .memory_bytes = 30 * gibibyte}, described()).is_good());
  EXPECT_THAT(judge({.cpu_millis = 7911, .memory_bytes = 30 * gibibyte + 1}, described()).lacks,
              ElementsAre("has 7910m cpu (7911m needed)", "has 30Gi memory (32212254721 needed)"));
  Node node = described();
  node.capacity = {.cpu_millis = 8000, .memory_bytes = 32 * gibibyte};
  EXPECT_FALSE(judge({.cpu_millis = 8000}, node).is_good());
  node.allocatable = {};
  EXPECT_TRUE(judge({.cpu_millis = 8000}, node).is_good());
  // A device that is plugged in and does not work is no longer allocatable.
  node.capacity.others = {{"nvidia.com/gpu", 1}};
  EXPECT_TRUE(judge({.gpu = Gpu{.vendor = "nvidia"}}, node).is_good());
  node.allocatable = {.cpu_millis = 8000};
  EXPECT_FALSE(judge({.gpu = Gpu{.vendor = "nvidia"}}, node).is_good());
}

TEST(Fits, WhatIsNotSaidIsUnknownOrLacking) {
  Node node = described();
  node.allocatable = {};
  const Requirements needs{
      .cpu_millis = 4000, .memory_bytes = 8 * gibibyte, .gpu = Gpu{.vendor = "nvidia"}};
  Fit found = judge(needs, node);
  EXPECT_THAT(found.lacks, ElementsAre("has no nvidia.com/gpu (1 needed)"));
  EXPECT_THAT(found.unknown, ElementsAre("does not say its cpu (4 needed)",
                                         "does not say its memory (8Gi needed)"));
  found = judge(needs, of_platform());
  EXPECT_TRUE(found.is_good());
  EXPECT_THAT(found.unknown,
              ElementsAre("does not say its cpu (4 needed)", "does not say its memory (8Gi needed)",
                          "does not say its nvidia.com/gpu (1 needed)"));
}

TEST(Fits, GpusByTheirLabels) {
  const auto needs = [](std::uint64_t mebibytes, ComputeCapability compute) {
    return Requirements{
        .gpu = Gpu{.vendor = "nvidia", .memory_bytes = mebibytes << 20, .compute = compute}};
  };
  EXPECT_TRUE(judge(needs(15360, {7, 5}), gpu_node()).is_good());
  EXPECT_TRUE(judge(needs(1, {7, 0}), gpu_node()).is_good());
  EXPECT_TRUE(judge(needs(1, {6, 9}), gpu_node()).is_good());
  EXPECT_THAT(
      judge(needs(16384, {8, 0}), gpu_node()).lacks,
      ElementsAre("has label nvidia.com/gpu.memory=15360 (16384 MiB or more are needed)",
                  "has label nvidia.com/gpu.compute.major=7 (compute capability 8.0 or newer is "
                  "needed)"));
  EXPECT_THAT(judge(needs(1, {7, 6}), gpu_node()).lacks,
              ElementsAre("has label nvidia.com/gpu.compute.major=7, "
                          "nvidia.com/gpu.compute.minor=5 (compute capability 7.6 or newer is "
                          "needed)"));
  Node bare = gpu_node();
  bare.labels.clear();
  EXPECT_THAT(judge(needs(16384, {7, 5}), bare).lacks,
              ElementsAre("has no label nvidia.com/gpu.memory (16384 MiB or more are needed)",
                          "has no label nvidia.com/gpu.compute.major (compute capability 7.5 or "
                          "newer is needed)"));
  Node newer = gpu_node();
  newer.labels["nvidia.com/gpu.compute.major"] = "12";
  newer.labels["nvidia.com/gpu.compute.minor"] = "0";
  EXPECT_TRUE(judge(needs(1, {7, 5}), newer).is_good());
  // Half of what it says is known.
  Node half = of_platform();
  half.labels = {{"nvidia.com/gpu.compute.major", "7"}};
  const Requirements needs_compute = needs(1, {7, 5});
  EXPECT_THAT(judge(needs_compute, half).unknown,
              ElementsAre("does not say its nvidia.com/gpu (1 needed)",
                          "does not say its label nvidia.com/gpu.memory (1 MiB or more are needed)",
                          "does not say its label nvidia.com/gpu.compute.minor (compute "
                          "capability 7.5 or newer is needed)"));
  half.labels["nvidia.com/gpu.compute.major"] = "6";
  EXPECT_FALSE(judge(needs_compute, half).is_good());
}

TEST(Fits, LevelsByLabelOrByMachine) {
  const Requirements v3{.cpu_level = "v3"};
  Node node = described();
  node.machine.cpu_variant = "v4";  // labels decide where pods are placed by them
  EXPECT_THAT(judge(v3, node).lacks,
              ElementsAre("has no label " + cpuid +
                          "X86_64_V3 (a processor of level v3 is needed; Node Feature Discovery "
                          "says it from version 0.19 on)"));
  node.labels[cpuid + "X86_64_V3"] = "true";
  EXPECT_TRUE(judge(v3, node).is_good());
  node.labels[cpuid + "X86_64_V3"] = "false";
  EXPECT_THAT(judge(v3, node).lacks,
              ElementsAre(HasSubstr("has label " + cpuid + "X86_64_V3=false (")));

  EXPECT_TRUE(judge(v3, of_platform("v3")).is_good());
  EXPECT_TRUE(judge(v3, of_platform("v4")).is_good());
  EXPECT_THAT(judge(v3, of_platform("v4")).unknown, IsEmpty());
  EXPECT_THAT(judge(v3, of_platform("v2")).lacks,
              ElementsAre(HasSubstr("is of level v2 (a processor of level v3 is needed")));
  EXPECT_THAT(judge(v3, of_platform()).unknown,
              ElementsAre(HasSubstr("does not say its label " + cpuid + "X86_64_V3 (")));

  const Requirements power9{.cpu_level = "power9"};
  EXPECT_TRUE(fits(power9, power, {.name = "p", .machine = {power, "power10"}}));
  EXPECT_FALSE(fits(power9, power, {.name = "p", .machine = {power, "power8"}}));
  EXPECT_FALSE(fits(v3, power, {.name = "p", .machine = {power, "power10"}}));
}

TEST(Fits, FeaturesByLabel) {
  Node node = described();
  EXPECT_THAT(judge({.cpu_features = {"AVX2", "BMI2"}}, node).lacks,
              ElementsAre("has no label " + cpuid + "AVX2 (the processor's AVX2 is needed)",
                          "has no label " + cpuid +
                              "BMI2 (the processor's BMI2 is needed; Node Feature Discovery says "
                              "it only when told to)"));
  node.labels = {{cpuid + "AVX2", "true"}, {cpuid + "BMI2", "true"}};
  EXPECT_TRUE(judge({.cpu_features = {"AVX2", "BMI2"}}, node).is_good());
}

TEST(Fits, LabelsNearby) {
  const Requirements needs{.near = {{"warehouse", "dwh-1"}}};
  Node node = described();
  EXPECT_THAT(judge(needs, node).lacks,
              ElementsAre("has no label warehouse (\"dwh-1\" is needed)"));
  node.labels["warehouse"] = "dwh-2\x1b";
  EXPECT_THAT(judge(needs, node).lacks,
              ElementsAre("has label warehouse=dwh-2\\x1b (\"dwh-1\" is needed)"));
  node.is_described = false;  // said, and something else
  EXPECT_FALSE(judge(needs, node).is_good());
  node.labels["warehouse"] = "dwh-1";
  EXPECT_TRUE(judge(needs, node).is_good());
}

TEST(Fits, TaintsAreTolerated) {
  Node node = gpu_node();
  EXPECT_THAT(judge({}, node).lacks,
              ElementsAre("has the taint nvidia.com/gpu=present:NoSchedule, which is not "
                          "tolerated"));
  EXPECT_TRUE(judge({.gpu = Gpu{.vendor = "nvidia"}}, node).is_good());
  node = described();
  node.taints = {{"kubernetes.io/arch", "amd64", "NoSchedule"}, {"busy", "", "PreferNoSchedule"}};
  EXPECT_TRUE(judge({}, node).is_good());
  node.taints = {{"kubernetes.io/arch", "arm64", "NoSchedule"}};
  EXPECT_FALSE(judge({}, node).is_good());

  node.taints = {{"dedicated", "science", "NoExecute"}};
  const auto with = [](Toleration toleration) {
    return Requirements{.tolerations = {std::move(toleration)}};
  };
  EXPECT_TRUE(judge(with({.key = "dedicated"}), node).is_good());
  EXPECT_TRUE(judge(with({.key = "dedicated", .value = "science"}), node).is_good());
  EXPECT_TRUE(judge(with({.key = "dedicated", .effect = "NoExecute"}), node).is_good());
  EXPECT_FALSE(judge(with({.key = "dedicated", .effect = "NoSchedule"}), node).is_good());
  EXPECT_FALSE(judge(with({.key = "dedicated", .value = "web"}), node).is_good());
  EXPECT_FALSE(judge(with({.key = "dedicate"}), node).is_good());
}

TEST(Fits, CordonedNodesTakeNothing) {
  const node::Taint cordon{"node.kubernetes.io/unschedulable", "", "NoSchedule"};
  Node node = described();
  node.unschedulable = true;
  EXPECT_THAT(judge({}, node).lacks, ElementsAre("takes no new pods (cordoned)"));
  node.taints = {cordon};
  EXPECT_THAT(judge({}, node).lacks, ElementsAre("takes no new pods (cordoned)"));
  EXPECT_TRUE(judge({.tolerations = {{.key = cordon.key}}}, node).is_good());
  node.unschedulable = false;
  EXPECT_FALSE(judge({}, node).is_good());
}

TEST(Fits, ReadinessIsSaidElsewhere) {
  Node node = described();
  node.ready = false;
  node.taints = {{"node.kubernetes.io/not-ready", "", "NoSchedule"},
                 {"node.kubernetes.io/unreachable", "", "NoExecute"}};
  EXPECT_TRUE(judge({}, node).is_good());
}

TEST(Needs, AnswerForManyNodes) {
  const Needs needs({.cpu_millis = 4000, .cpu_level = "v3"}, amd64);
  Node node = described();
  EXPECT_FALSE(needs.fits(node));
  node.labels[cpuid + "X86_64_V3"] = "true";
  EXPECT_TRUE(needs.fits(node));
  node.allocatable.cpu_millis = 3999;
  EXPECT_FALSE(needs.fits(node));
  EXPECT_THAT(needs.fit(node).lacks, ElementsAre("has 3999m cpu (4 needed)"));
}

}  // namespace
}  // namespace fnimage::require
