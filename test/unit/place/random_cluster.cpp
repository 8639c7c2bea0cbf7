#include "random_cluster.hpp"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

namespace fnimage::place {

namespace {

using manifest::Platform;
using nlohmann::json;
using require::Requirements;
using test::unwrap;

constexpr std::uint64_t gib = std::uint64_t{1} << 30U;

const std::vector<std::string> cpu_features{"AVX2", "AVX512F", "MMA", "VSX"};

/// As lists name platforms, well and badly.
std::optional<Platform> random_platform(Random& random) {
  static const std::vector<Platform> usual{{"linux", "amd64", "", "", {}},
                                           {"linux", "ppc64le", "", "", {}},
                                           {"linux", "arm64", "", "", {}}};
  static const std::vector<Platform> odd{
      {"linux", "386", "", "", {}},       {"linux", "arm", "v7", "", {}},
      {"linux", "arm", "", "", {}},       {"linux", "arm", "v6", "", {}},
      {"linux", "arm64", "v8", "", {}},   {"linux", "s390x", "", "", {}},
      {"linux", "riscv64", "", "", {}},   {"linux", "amd64", "v1", "", {}},
      {"linux", "amd64", "v3", "", {}},   {"linux", "x86_64", "", "", {}},
      {"linux", "aarch64", "", "", {}},   {"linux", "ppc64le", "power9", "", {}},
      {"linux", "ppc64el", "", "", {}},   {"windows", "amd64", "", "", {}},
      {"unknown", "unknown", "", "", {}}, {"linux", "amd64", "", "", {"erofs"}},
      {"linux", "AMD64", "", "", {}},     {"linux", "i386", "", "", {}},
      {"linux", "riscv64", "", "", {"x"}}};
  if (random.one_in(12)) {
    return std::nullopt;
  }
  return random.one_in(3) ? random.pick(odd) : random.pick(usual);
}

require::Toleration random_toleration(Random& random) {
  require::Toleration toleration{
      .key = random.pick(std::vector<std::string>{"dedicated", "nvidia.com/gpu",
                                                  "node.kubernetes.io/unschedulable"})};
  toleration.value = toleration.key == "dedicated" && random.one_in(2) ? "analytics" : "";
  toleration.effect = random.pick(std::vector<std::string>{"", "NoSchedule", "NoExecute"});
  return toleration;
}

require::Gpu random_gpu(Random& random) {
  require::Gpu gpu{.vendor = random.one_in(4) ? "amd" : "nvidia", .count = 1 + random.below(2)};
  if (gpu.vendor == "nvidia" && random.one_in(2)) {
    gpu.memory_bytes = gib * random.pick(std::vector<std::uint64_t>{8, 16, 24});
  }
  if (gpu.vendor == "nvidia" && random.one_in(2)) {
    gpu.compute = random.pick(std::vector<require::ComputeCapability>{{7, 0}, {7, 5}, {8, 6}});
  }
  return gpu;
}

Requirements random_requirements(Random& random) {
  Requirements needs;
  if (random.one_in(3)) {
    needs.cpu_millis = random.pick(std::vector<std::uint64_t>{500, 1500, 2000, 4000});
  }
  if (random.one_in(3)) {
    needs.memory_bytes = gib * random.pick(std::vector<std::uint64_t>{1, 4, 8});
  }
  if (random.one_in(5)) {
    needs.gpu = random_gpu(random);
  }
  if (random.one_in(20)) {
    needs.tpu =
        require::Tpu{.count = 4, .accelerator = random.one_in(2) ? "tpu-v5e" : "", .topology = {}};
  }
  if (random.one_in(6)) {
    needs.cpu_features = {random.pick(cpu_features)};
  }
  if (random.one_in(8)) {
    needs.cpu_level = random.pick(std::vector<std::string>{"v2", "v3", "power9"});
  }
  if (random.one_in(4)) {
    needs.near["warehouse"] = random.pick(std::vector<std::string>{"dwh-1", "dwh-2"});
  }
  if (random.one_in(25)) {
    needs.near["kubernetes.io/arch"] = random.pick(std::vector<std::string>{"amd64", "ppc64le"});
  }
  if (random.one_in(25)) {
    needs.near["example.com/idle"] = "";
  }
  if (random.one_in(6)) {
    needs.tolerations.push_back(random_toleration(random));
  }
  return needs;
}

/// Without what cannot be asked of the platform.
Requirements suited(Requirements needs, const Platform& platform) {
  if (!require::check(needs, platform)) {
    needs.cpu_level.clear();
  }
  unwrap(require::check(needs, platform));
  return needs;
}

json random_labels(Random& random, const std::string& os, const std::string& architecture) {
  json labels = {{"kubernetes.io/os", os}, {"kubernetes.io/arch", architecture}};
  const auto maybe = [&](std::size_t in, const std::string& key, const std::string& value) {
    if (random.one_in(in)) {
      labels[key] = value;
    }
  };
  for (const std::string& feature : cpu_features) {
    maybe(2, "feature.node.kubernetes.io/cpu-cpuid." + feature,
          random.one_in(8) ? "false" : "true");
  }
  const std::size_t level = 1 + random.below(4);
  for (std::size_t i = 1; i <= level && architecture == "amd64"; ++i) {
    labels[fmt::format("feature.node.kubernetes.io/cpu-cpuid.X86_64_V{}", i)] = "true";
  }
  if (architecture == "ppc64le") {
    maybe(2, "feature.node.kubernetes.io/cpu-cpuid.ARCH_3_00", "true");
  }
  if (random.one_in(2)) {
    labels["nvidia.com/gpu.memory"] = random.pick(
        std::vector<std::string>{"8192", "16384", "16383", "24576", "81920", "N-A", "", "016384"});
    labels["nvidia.com/gpu.compute.major"] =
        random.pick(std::vector<std::string>{"6", "7", "8", "9", "12"});
    labels["nvidia.com/gpu.compute.minor"] =
        random.pick(std::vector<std::string>{"0", "2", "5", "6", "9"});
  }
  maybe(5, "cloud.google.com/gke-tpu-accelerator", "tpu-v5e");
  if (!random.one_in(3)) {
    labels["warehouse"] = random.one_in(3) ? "dwh-2" : "dwh-1";
  }
  maybe(2, "example.com/idle", random.one_in(2) ? "" : "yes");
  maybe(2, "openwhisk-role", random.one_in(5) ? "core" : "invoker");
  return labels;
}

json random_taint(Random& random, const std::string& architecture) {
  json taint =
      random.pick(std::vector<json>{{{"key", "dedicated"}, {"value", "analytics"}},
                                    {{"key", "dedicated"}, {"value", "web"}},
                                    {{"key", "dedicated"}},
                                    {{"key", "nvidia.com/gpu"}, {"value", "present"}},
                                    {{"key", "kubernetes.io/arch"}, {"value", architecture}},
                                    {{"key", "kubernetes.io/arch"}, {"value", architecture}},
                                    {{"key", "google.com/tpu"}, {"value", "present"}}});
  taint["effect"] = random.pick(
      std::vector<std::string>{"NoSchedule", "NoSchedule", "PreferNoSchedule", "NoExecute"});
  return taint;
}

json random_allocatable(Random& random) {
  json resources = {
      {"cpu", random.pick(std::vector<std::string>{"1500m", "2", "3920m", "4", "16", "128"})},
      {"memory",
       random.pick(std::vector<std::string>{"1048575Ki", "4Gi", "8589934592", "32Gi", "512Gi"})},
      {"pods", "110"}};
  if (random.one_in(2)) {
    resources["nvidia.com/gpu"] = fmt::format("{}", random.below(4));
  }
  if (random.one_in(5)) {
    resources["amd.com/gpu"] = fmt::format("{}", random.below(3));
  }
  if (random.one_in(4)) {
    resources["google.com/tpu"] = random.pick(std::vector<std::string>{"1", "4", "8"});
  }
  return resources;
}

manifest::Descriptor random_entry(Random& random, std::size_t number) {
  const std::string bytes = fmt::format("image {} {}", number, random.below(1'000'000));
  manifest::Descriptor entry{.media_type = std::string(manifest::media_type::oci_manifest),
                             .digest = manifest::Digest::of(bytes),
                             .size = bytes.size()};
  entry.platform = random_platform(random);
  return entry;
}

}  // namespace

RandomList random_list(Random& random) {
  RandomList made;
  const std::size_t count = 1 + random.below(4);
  const Requirements shared = random.one_in(4) ? Requirements() : random_requirements(random);
  const bool all_the_same = !random.one_in(4);
  for (std::size_t i = 0; i < count; ++i) {
    made.list.manifests.push_back(random_entry(random, i));
    const auto& said = made.list.manifests.back().platform;
    ImageFacts facts;
    facts.config_platform = said ? std::nullopt : random_platform(random);
    const Platform platform = manifest::normalize(
        said ? *said : facts.config_platform.value_or(Platform{"linux", "amd64", "", "", {}}));
    facts.requirements = suited(all_the_same ? shared : random_requirements(random), platform);
    made.facts.push_back(std::move(facts));
  }
  return made;
}

std::vector<manifest::Runtime> random_runtimes(Random& random) {
  if (random.one_in(2)) {
    return usual_runtimes().all;
  }
  std::vector<manifest::Runtime> runtimes;
  for (std::size_t i = 0; i <= random.below(3); ++i) {
    runtimes.push_back(random.pick(manifest::known_runtimes()));
  }
  return runtimes;
}

RandomNode random_node(Random& random, std::size_t number) {
  static const std::vector<std::string> architectures{"amd64",   "amd64", "amd64",  "ppc64le",
                                                      "ppc64le", "arm64", "arm64",  "arm",
                                                      "386",     "s390x", "riscv64"};
  const std::string architecture = random.pick(architectures);
  const std::string os = architecture == "amd64" && random.one_in(12) ? "windows" : "linux";
  return random_node(random, number, os, architecture);
}

RandomNode random_node(Random& random, std::size_t number, const std::string& os,
                       const std::string& architecture) {
  json spec = json::object();
  while (random.one_in(4)) {
    spec["taints"].push_back(random_taint(random, architecture));
  }
  if (random.one_in(15)) {
    spec["unschedulable"] = true;
  }
  RandomNode made;
  made.object = {{"apiVersion", "v1"},
                 {"kind", "Node"},
                 {"metadata",
                  {{"name", fmt::format("node-{}", number)},
                   {"labels", random_labels(random, os, architecture)}}},
                 {"spec", std::move(spec)},
                 {"status",
                  {{"allocatable", random_allocatable(random)},
                   {"nodeInfo",
                    {{"architecture", architecture},
                     {"operatingSystem", os},
                     {"containerRuntimeVersion", "containerd://2.1.0"}}}}}};
  made.node = unwrap(node::read_nodes(made.object.dump(), "node.json")).at(0);
  return made;
}

json random_pod(Random& random) {
  json spec = json::object();
  if (random.one_in(2)) {
    spec["nodeSelector"] = random.pick(std::vector<json>{{{"warehouse", "dwh-1"}},
                                                         {{"kubernetes.io/arch", "amd64"}},
                                                         {{"kubernetes.io/os", "linux"}}});
  }
  const json terms = random.pick(std::vector<json>{
      json::array({{{"matchExpressions",
                     {{{"key", "kubernetes.io/arch"},
                       {"operator", "In"},
                       {"values", {"amd64", "arm64"}}}}}}}),
      json::array(
          {{{"matchExpressions", {{{"key", "warehouse"}, {"operator", "Exists"}}}}},
           {{"matchExpressions",
             {{{"key", "example.com/idle"}, {"operator", "NotIn"}, {"values", {"yes"}}}}}}}),
      json::array(
          {json::object(),
           {{"matchExpressions",
             {{{"key", "kubernetes.io/arch"}, {"operator", "NotIn"}, {"values", {"s390x"}}}}}}})});
  const std::size_t kind = random.below(4);
  if (kind == 1) {
    spec["affinity"] = {{"podAntiAffinity", json::object()}};
  } else if (kind == 2) {
    spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] =
        json::array();
  } else if (kind == 3) {
    spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = {
        {"nodeSelectorTerms", terms}};
  }
  if (random.one_in(2)) {
    spec["tolerations"] = {{{"key", "dedicated"}, {"operator", "Exists"}}};
  }
  json container = {{"name", "main"}, {"image", "x"}};
  if (random.one_in(2)) {
    container["resources"] = {{"requests", {{"cpu", "3"}, {"memory", "2Gi"}}},
                              {"limits", {{"cpu", "3"}, {"memory", "2Gi"}}}};
  }
  spec["containers"].push_back(std::move(container));
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", "pod"}}},
          {"spec", std::move(spec)}};
}

}  // namespace fnimage::place
