#include "random_hardware.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/platform.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::place {

namespace {

using require::Gpu;

const std::string cpuid_prefix = "feature.node.kubernetes.io/cpu-cpuid.";

struct Device {
  std::string pci_class;
  std::string vendor;
};

/// Graphics processors, and others that have their class or their vendor.
Device random_device(Random& random) {
  static const std::vector<Device> graphics{{"0302", "10de"}, {"0300", "10de"}, {"0302", "10de"},
                                            {"0380", "1002"}, {"1200", "1002"}, {"0300", "1002"},
                                            {"0300", "8086"}, {"0380", "8086"}};
  static const std::vector<Device> others{{"0300", "102b"}, {"0300", "1a03"}, {"0403", "10de"},
                                          {"0200", "8086"}, {"1200", "8086"}, {"0b40", "8086"},
                                          {"0106", "1002"}, {"1200", "1da3"}, {"0680", "10de"}};
  return random.one_in(2) ? random.pick(graphics) : random.pick(others);
}

/// A display controller, or one of AMD's that is an accelerator only; Intel's of that class are no
/// graphics processors.
bool is_graphics(const Device& device) {
  return device.pci_class.starts_with("03") ||
         (device.pci_class == "1200" && device.vendor == "1002");
}

/// By the names of the device plugins. Which driver one of Intel's has is no matter of hardware.
std::vector<std::string> resources_of_vendor(const std::string& vendor) {
  if (vendor == "10de") {
    return {"nvidia.com/gpu"};
  }
  if (vendor == "1002") {
    return {"amd.com/gpu"};
  }
  return vendor == "8086" ? std::vector<std::string>{"gpu.intel.com/i915", "gpu.intel.com/xe"}
                          : std::vector<std::string>{};
}

void add_device(nlohmann::json& node, const Device& device) {
  node["metadata"]["labels"][fmt::format("feature.node.kubernetes.io/pci-{}_{}.present",
                                         device.pci_class, device.vendor)] = "true";
  if (is_graphics(device)) {
    for (const std::string& resource : resources_of_vendor(device.vendor)) {
      node["status"]["allocatable"][resource] = "64";
    }
  }
}

/// With what many images ask for; few nodes of random parts alone have all of it.
void equip(Random& random, nlohmann::json& node) {
  nlohmann::json& labels = node["metadata"]["labels"];
  for (const char* feature : {"AVX2", "AVX512F", "MMA", "VSX", "X86_64_V3", "ARCH_3_00"}) {
    labels[cpuid_prefix + feature] = "true";
  }
  add_device(node, {"0302", "10de"});
  labels["nvidia.com/gpu.memory"] = random.one_in(2) ? "16384" : "81920";
  labels["nvidia.com/gpu.compute.major"] = random.pick(std::vector<std::string>{"7", "8", "9"});
  labels["nvidia.com/gpu.compute.minor"] = random.pick(std::vector<std::string>{"0", "5", "6"});
}

void add_features(Random& random, require::Requirements& needs) {
  for (const char* feature : {"AVX2", "VSX", "MMA"}) {
    auto& features = needs.cpu_features;
    const bool is_new = std::find(features.begin(), features.end(), feature) == features.end();
    if (random.one_in(8) && is_new) {
      features.emplace_back(feature);
    }
  }
}

Gpu random_device_need(Random& random) {
  constexpr std::uint64_t mebibytes = std::uint64_t{1} << 20U;
  Gpu gpu{.vendor = random.pick(
              std::vector<std::string>{"nvidia", "nvidia", "nvidia", "amd", "intel", "intel-xe"}),
          .count = 1 + random.below(2)};
  if (gpu.vendor == "nvidia" && random.one_in(2)) {
    gpu.memory_bytes = random.pick(std::vector<std::uint64_t>{
        1, 8192 * mebibytes, 16383 * mebibytes + 1, 16384 * mebibytes + 1});
  }
  if (gpu.vendor == "nvidia" && random.one_in(2)) {
    gpu.compute = random.pick(std::vector<require::ComputeCapability>{{7, 0}, {7, 5}, {8, 6}});
  }
  return gpu;
}

void add_labels(Random& random, require::Requirements& needs) {
  if (random.one_in(10)) {
    needs.near["nvidia.com/gpu.family"] = random.one_in(2) ? "ampere" : "hopper";
  }
  const bool is_asked_for = needs.gpu && needs.gpu->compute;
  if (random.one_in(is_asked_for ? 2 : 20)) {  // and then once more
    needs.near["nvidia.com/gpu.compute.major"] = random.one_in(2) ? "7" : "8";
  }
  if (random.one_in(20)) {
    needs.near[cpuid_prefix + "AVX512F"] = random.one_in(3) ? "false" : "true";
  }
}

void add_needs(Random random, require::Requirements& needs) {
  add_features(random, needs);
  if (random.one_in(3)) {
    needs.gpu = random_device_need(random);
  }
  if (random.one_in(12)) {
    needs.tpu = require::Tpu{.count = 1, .accelerator = "", .topology = {}};
  }
  add_labels(random, needs);
}

}  // namespace

RandomNode random_hardware(Random& random, const std::string& os, const std::string& architecture) {
  RandomNode made = random_node(random, 0, os, architecture);
  made.object["spec"] = nlohmann::json::object();
  made.object["status"]["allocatable"] = {
      {"cpu", "1024"}, {"memory", "64Ti"}, {"google.com/tpu", "4096"}};
  if (random.one_in(3)) {
    equip(random, made.object);
  }
  while (!random.one_in(3)) {
    add_device(made.object, random_device(random));
  }
  nlohmann::json& labels = made.object["metadata"]["labels"];
  if (random.one_in(2)) {
    labels["nvidia.com/gpu.family"] = random.one_in(3) ? "hopper" : "ampere";
  }
  if (random.one_in(10)) {
    labels.erase("nvidia.com/gpu.compute.minor");
  }
  made.node = test::unwrap(node::read_nodes(made.object.dump(), "node.json")).at(0);
  return made;
}

void need_hardware(Random& random, RandomList& made) {
  const std::uint64_t seed = random.below(1'000'000'000);
  const bool all_the_same = !random.one_in(5);
  for (std::size_t i = 0; i < made.facts.size(); ++i) {
    add_needs(Random(all_the_same ? seed : seed + i), made.facts[i].requirements);
    EXPECT_TRUE(require::check(made.facts[i].requirements, {})) << i;
  }
}

void forget_places(RandomList& made) {
  for (ImageFacts& facts : made.facts) {
    std::erase_if(facts.requirements.near,
                  [](const auto& label) { return !is_feature(label.first, label.second); });
    if (facts.requirements.tpu) {
      facts.requirements.tpu->accelerator.clear();
      facts.requirements.tpu->topology.clear();
    }
  }
}

bool is_feature(const std::string& key, const std::string& value) {
  return key.starts_with("nvidia.com/") || (key.starts_with(cpuid_prefix) && value == "true");
}

}  // namespace fnimage::place
