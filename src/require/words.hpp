// Words of the vendors and of Node Feature Discovery: resources, labels, levels of processors.
// Sources: NFD source/cpu (cpuid, x86-64 levels, ppc64le's HWCAP) and its default configuration,
// NVIDIA gpu-feature-discovery, the device plugins of NVIDIA, AMD and Intel, GKE's TPU node pools.
// Private to require. Thread-safety: constants and pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <fnimage/require/selection.hpp>

namespace fnimage::require {

inline constexpr std::string_view gpu_memory_label = "nvidia.com/gpu.memory";  // MiB
inline constexpr std::string_view compute_major_label = "nvidia.com/gpu.compute.major";
inline constexpr std::string_view compute_minor_label = "nvidia.com/gpu.compute.minor";
inline constexpr std::string_view tpu_resource = "google.com/tpu";
inline constexpr std::string_view tpu_accelerator_label = "cloud.google.com/gke-tpu-accelerator";
inline constexpr std::string_view tpu_topology_label = "cloud.google.com/gke-tpu-topology";
inline constexpr std::string_view arch_key = "kubernetes.io/arch";

struct GpuVendor {
  std::string_view name;
  std::string_view resource;
  bool has_labels = false;  ///< of memory and compute capability, as whole numbers
};
std::span<const GpuVendor> gpu_vendors() noexcept;
/// Nullptr for one that is not known.
const GpuVendor* find_vendor(std::string_view name) noexcept;

/// A level of an architecture's processors.
struct CpuLevel {
  std::string_view architecture;
  std::string_view name;
  std::string_view feature;  ///< as NFD calls it; processors of higher levels have it, too
};
std::span<const CpuLevel> cpu_levels() noexcept;
/// Nullptr for a level that the architecture does not have.
const CpuLevel* find_level(std::string_view architecture, std::string_view name) noexcept;
/// Whether a processor of one level is of the other, too: "v4" of "v3".
bool reaches_level(std::string_view architecture, std::string_view level,
                   std::string_view needed) noexcept;

/// NFD does not make a label of it unless its configuration says so.
bool is_left_out(std::string_view feature) noexcept;

}  // namespace fnimage::require
