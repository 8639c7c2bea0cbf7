// The runtimes that compare words letter by letter: containers/image internal/pkg/platform and
// internal/manifest (CRI-O, Podman), and go-containerregistry pkg/v1/remote/index.go.
#include <algorithm>

#include "runtime_rules.hpp"

namespace fnimage::manifest {

namespace {

constexpr std::uint32_t rank_of_no_variant = 100;  // after all that the variant asked for can run

/// The level of "v8" … "v5" as written; 0 for anything else.
int arm_level_of(std::string_view variant) noexcept {
  return variant.size() == 2 && variant[0] == 'v' && variant[1] >= '5' && variant[1] <= '8'
             ? variant[1] - '0'
             : 0;
}

/// The place among the variants that are wanted, WantedPlatforms' order.
std::optional<std::uint32_t> rank_of_variant(const PlatformWords& wanted,
                                             std::string_view variant) noexcept {
  if (variant == wanted.variant) {
    return 0;
  }
  if (variant.empty()) {
    return rank_of_no_variant;
  }
  if (wanted.architecture != "arm") {
    return std::nullopt;
  }
  // Without a variant every one will do, the newest first.
  const int from = wanted.variant.empty() ? 9 : arm_level_of(wanted.variant);
  const int to = arm_level_of(variant);
  return to != 0 && to < from ? std::optional(static_cast<std::uint32_t>(from - to)) : std::nullopt;
}

bool has_asked_features(const Demand& demand, const std::vector<std::string>& features) {
  return std::all_of(demand.features.begin(), demand.features.end(), [&](std::string_view asked) {
    return std::find(features.begin(), features.end(), asked) != features.end();
  });
}

}  // namespace

void demand_like_crio(Demand& demand) {
  demand.is_literal = true;
  demand.takes_without_platform = !demand.is_docker_list;
  if (demand.words.architecture == "arm64" && demand.words.variant.empty()) {
    demand.words.variant = "v8";  // found in /proc/cpuinfo of all of them
  }
}

bool is_marked_zstd(const Descriptor& entry) {
  if (entry.annotations.empty()) {
    return false;
  }
  static const std::string key = "io.github.containers.compression.zstd";
  const auto found = entry.annotations.find(key);
  return found != entry.annotations.end() && found->second == "true";
}

Standing standing_in_crio(const Demand& demand, const Descriptor& entry) {
  const std::uint32_t preference = demand.is_docker_list || is_marked_zstd(entry) ? 0 : 1;
  if (!entry.platform) {
    return demand.takes_without_platform
               ? Standing{Cause::none, true, rank_without_platform, preference}
               : Standing{Cause::no_platform};
  }
  if (entry.platform->os != demand.words.os) {
    return {Cause::os};
  }
  if (entry.platform->architecture != demand.words.architecture) {
    return {Cause::architecture};
  }
  const auto rank = rank_of_variant(demand.words, entry.platform->variant);
  return rank ? Standing{Cause::none, true, *rank, preference} : Standing{Cause::variant};
}

Standing standing_in_go_containerregistry(const Demand& demand, const Descriptor& entry) {
  if (!entry.platform) {
    const bool is_meant = demand.words.os == "linux" && demand.words.architecture == "amd64" &&
                          demand.words.variant.empty() && demand.os_version.empty() &&
                          demand.features.empty();
    return {is_meant ? Cause::none : Cause::no_platform};
  }
  const Platform& platform = *entry.platform;
  if (platform.os != demand.words.os) {
    return {Cause::os};
  }
  if (platform.architecture != demand.words.architecture) {
    return {Cause::architecture};
  }
  if (!demand.words.variant.empty() && platform.variant != demand.words.variant) {
    return {Cause::variant};
  }
  if (!demand.os_version.empty() && platform.os_version != demand.os_version) {
    return {Cause::os_version};
  }
  return {has_asked_features(demand, platform.os_features) ? Cause::none : Cause::features};
}

}  // namespace fnimage::manifest
