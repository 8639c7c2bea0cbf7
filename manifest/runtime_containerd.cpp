// containerd and Docker: containerd/platforms compare.go (Only, Ordered), containerd core/images
// (Manifest, LimitManifests), core/transfer/image (ImageFilter), moby pull_v2_unix.go and
// daemon/containerd/platform_matchers.go. A rank is the place in compare.go's platformVector.
#include <algorithm>
#include <limits>

#include <fnimage/base/text.hpp>

#include "runtime_rules.hpp"

namespace fnimage::manifest {

namespace {

constexpr std::uint32_t rank_of_386 = 100;         // after all levels of amd64
constexpr std::uint32_t rank_of_32_bit_arm = 100;  // after all versions of arm64

/// "", "v8.1", "v9", …: what containerd's table of arm64 holds.
ArmVersion arm_version_of(std::string_view variant) noexcept {
  if (variant.empty()) {
    return {8, 0};
  }
  if (variant[0] != 'v' && variant[0] != 'V') {
    return {};
  }
  if (variant.substr(1) == "9") {
    return {9, 0};
  }
  const bool with_minor = variant.size() == 4 && variant[2] == '.';
  if (!with_minor || (variant[1] != '8' && variant[1] != '9') || variant[3] < '1' ||
      variant[3] > (variant[1] == '8' ? '9' : '7')) {
    return {};
  }
  return {variant[1] - '0', variant[3] - '0'};
}

std::optional<std::uint32_t> steps_down(int from, int to, int lowest) noexcept {
  return to >= lowest && to <= from ? std::optional(static_cast<std::uint32_t>(from - to))
                                    : std::nullopt;
}

std::optional<std::uint32_t> rank_for_amd64(int level, const PlatformWords& entry) noexcept {
  if (entry.architecture == "386") {
    return entry.variant.empty() ? std::optional(rank_of_386) : std::nullopt;
  }
  if (entry.architecture != "amd64") {
    return std::nullopt;
  }
  return steps_down(level, entry.variant.empty() ? 1 : level_of(entry.variant), 1);
}

std::optional<std::uint32_t> rank_for_arm(int level, const PlatformWords& entry) noexcept {
  return entry.architecture == "arm" ? steps_down(level, level_of(entry.variant), 5) : std::nullopt;
}

std::optional<std::uint32_t> rank_for_arm64(ArmVersion node, const PlatformWords& entry) noexcept {
  if (node.major == 0) {
    return std::nullopt;
  }
  if (entry.architecture == "arm") {
    const auto steps = rank_for_arm(8, entry);
    return steps ? std::optional(rank_of_32_bit_arm + *steps) : std::nullopt;
  }
  const ArmVersion version =
      entry.architecture == "arm64" ? arm_version_of(entry.variant) : ArmVersion{};
  if (version.major == node.major) {
    return steps_down(node.minor, version.minor, 0);
  }
  if (version.major != 8) {
    return std::nullopt;
  }
  // Armv9.n is Armv8.(n+5) and more; there is no 8.10.
  const auto steps = steps_down(std::min(node.minor + 5, 9), version.minor, 0);
  return steps ? std::optional(static_cast<std::uint32_t>(node.minor) + 1 + *steps) : std::nullopt;
}

std::optional<std::uint32_t> rank_of(const Demand& demand, const PlatformWords& entry) noexcept {
  if (is_same_for(demand, entry.architecture, demand.words.architecture) &&
      is_same_for(demand, entry.variant, demand.words.variant)) {
    return 0;
  }
  if (demand.words.architecture == "amd64") {
    return rank_for_amd64(demand.level, entry);
  }
  if (demand.words.architecture == "arm") {
    return rank_for_arm(demand.level, entry);
  }
  if (demand.words.architecture == "arm64") {
    return rank_for_arm64(demand.arm_version, entry);
  }
  return std::nullopt;
}

/// Docker before 23.0 takes any arm when none fits.
std::optional<std::uint32_t> rank_of_partial_match(const Demand& demand, const Platform& entry) {
  return demand.takes_any_arm && demand.words.architecture == "arm" &&
                 entry.architecture == "arm" && entry.os == demand.words.os
             ? std::optional(rank_of_any_arm)
             : std::nullopt;
}

bool has_wanted_features(const Demand& demand, const Platform& entry) {
  const bool is_windows = demand.words.os == "windows";
  return std::all_of(
      entry.os_features.begin(), entry.os_features.end(), [&](const std::string& feature) {
        return (is_windows && feature == "win32k") ||
               std::binary_search(demand.features.begin(), demand.features.end(), feature);
      });
}

/// More os.features are better among those that fit.
std::uint32_t preference_for(const Platform& entry) noexcept {
  constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  return most - static_cast<std::uint32_t>(std::min<std::size_t>(entry.os_features.size(), most));
}

/// Docker finds out what the processor can; its own store since 23.0 (moby#43434), the one of
/// containerd since 29.6 (moby#52773). containerd does so only for ARM, which is in the platform.
bool finds_out_level(const Runtime& runtime) noexcept {
  return (runtime.kind == RuntimeKind::docker && is_since(runtime, 23, 0)) ||
         (runtime.kind == RuntimeKind::docker_containerd && is_since(runtime, 29, 6));
}

/// Since containerd/platforms v1.0.0-rc.3: containerd 2.3 and Docker 29.6 are the first with it.
bool looks_at_features(const Runtime& runtime) noexcept {
  const bool is_containerd =
      runtime.kind == RuntimeKind::containerd || runtime.kind == RuntimeKind::containerd_client;
  return is_containerd ? is_since(runtime, 2, 3) : is_since(runtime, 29, 6);
}

}  // namespace

void demand_like_containerd(Demand& demand, const Runtime& runtime, const NodeMachine& node) {
  std::string_view variant = demand.words.variant;
  if (finds_out_level(runtime) && level_of(node.cpu_variant) != 0) {
    variant = node.cpu_variant;
  }
  const PlatformWords plain =
      normal_words(demand.words.os, demand.words.architecture, demand.words.variant);
  demand.words =
      plain.architecture == "amd64" ? normal_words(plain.os, plain.architecture, variant) : plain;
  const std::string_view architecture = demand.words.architecture;
  demand.level =
      architecture == "amd64" && demand.words.variant.empty() ? 1 : level_of(demand.words.variant);
  if (architecture == "arm64") {
    demand.arm_version = arm_version_of(demand.words.variant);
  }
  demand.compares_features = looks_at_features(runtime);
  // The transfer service is asked for the platform itself, without a limit.
  demand.fetches_all = runtime.kind == RuntimeKind::containerd && is_since(runtime, 2, 1);
  demand.takes_without_platform = runtime.kind != RuntimeKind::docker || is_since(runtime, 23, 0);
  demand.takes_any_arm = runtime.kind == RuntimeKind::docker && !is_since(runtime, 23, 0);
}

Standing standing_in_containerd(const Demand& demand, const Descriptor& entry) {
  if (lacks_platform(demand, entry)) {
    return demand.takes_without_platform ? Standing{Cause::none, true, rank_without_platform, 0}
                                         : Standing{Cause::no_platform};
  }
  const Platform& platform = *entry.platform;
  const PlatformWords words = normal_words(platform.os, platform.architecture, platform.variant);
  // No os is the one of the machine that normalises.
  if (!words.os.empty() && !is_same_for(demand, words.os, demand.words.os)) {
    return {Cause::os};
  }
  std::optional<std::uint32_t> rank = rank_of(demand, words);
  if (!rank) {
    rank = rank_of_partial_match(demand, platform);
  }
  if (!rank) {
    return {is_same_for(demand, words.architecture, demand.words.architecture)
                ? Cause::variant
                : Cause::architecture};
  }
  if (!demand.compares_features) {
    return {Cause::none, !demand.fetches_all || *rank == 0, *rank, 0};
  }
  if (!has_wanted_features(demand, platform)) {
    return {Cause::features};
  }
  return {Cause::none, !demand.fetches_all || *rank == 0, *rank, preference_for(platform)};
}

}  // namespace fnimage::manifest
