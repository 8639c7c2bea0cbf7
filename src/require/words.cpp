// The tables. amd64's levels are those of the x86-64 psABI; ppc64le's are GOPPC64's.
#include "words.hpp"

#include <algorithm>
#include <array>

namespace fnimage::require {

namespace {

// Intel's kernel drivers i915 and xe have a resource each, and a container can ask for one.
constexpr std::array<GpuVendor, 4> vendors{{{"nvidia", "nvidia.com/gpu", true},
                                            {"amd", "amd.com/gpu"},
                                            {"intel", "gpu.intel.com/i915"},
                                            {"intel-xe", "gpu.intel.com/xe"}}};

// In the order of each architecture's levels.
constexpr std::array<CpuLevel, 6> levels{{{"amd64", "v2", "X86_64_V2"},
                                          {"amd64", "v3", "X86_64_V3"},
                                          {"amd64", "v4", "X86_64_V4"},
                                          {"ppc64le", "power8", "ARCH_2_07"},
                                          {"ppc64le", "power9", "ARCH_3_00"},
                                          {"ppc64le", "power10", "ARCH_3_1"}}};

constexpr std::array<std::string_view, 24> left_out{
    "BMI1",  "BMI2",  "CLMUL",  "CMOV", "CX16",   "ERMS",   "F16C",   "HTT",
    "LZCNT", "MMX",   "MMXEXT", "NX",   "POPCNT", "RDRAND", "RDSEED", "RDTSCP",
    "SGX",   "SGXLC", "SSE",    "SSE2", "SSE3",   "SSE4",   "SSE42",  "SSSE3"};

}  // namespace

std::span<const GpuVendor> gpu_vendors() noexcept {
  return vendors;
}

const GpuVendor* find_vendor(std::string_view name) noexcept {
  const auto* found = std::find_if(vendors.begin(), vendors.end(),
                                   [&](const GpuVendor& one) { return one.name == name; });
  return found == vendors.end() ? nullptr : found;
}

std::span<const CpuLevel> cpu_levels() noexcept {
  return levels;
}

const CpuLevel* find_level(std::string_view architecture, std::string_view name) noexcept {
  const auto* found = std::find_if(levels.begin(), levels.end(), [&](const CpuLevel& one) {
    return one.architecture == architecture && one.name == name;
  });
  return found == levels.end() ? nullptr : found;
}

bool reaches_level(std::string_view architecture, std::string_view level,
                   std::string_view needed) noexcept {
  const CpuLevel* has = find_level(architecture, level);
  const CpuLevel* wants = find_level(architecture, needed);
  return has != nullptr && wants != nullptr && has >= wants;
}

bool is_left_out(std::string_view feature) noexcept {
  return std::find(left_out.begin(), left_out.end(), feature) != left_out.end();
}

}  // namespace fnimage::require
