// What a runtime asks for on a node, and how an entry of a list stands to that. Thread-safety:
// value types and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/manifest/runtime_match.hpp>

#include "platform_names.hpp"

namespace fnimage::manifest {

/// Why a runtime passes an entry over.
enum class Cause : std::uint8_t {
  none,         ///< it is a candidate
  attestation,  ///< unknown/unknown
  no_platform,  ///< says none, and the runtime wants one
  os,
  architecture,
  variant,
  os_version,
  features,
};

/// A version of armv8 or armv9: "v8.1"; minor 0 is the baseline.
struct ArmVersion {
  int major = 0;  ///< 0 = none
  int minor = 0;
};

/// What a runtime asks for, worked out once for each list. Views into the node: not to outlive it.
struct Demand {
  RuntimeKind kind = RuntimeKind::containerd;
  std::string_view runtime;     ///< its name in sentences
  bool is_docker_list = false;  ///< of the list
  bool is_literal = false;      ///< compares words letter by letter
  bool is_unknown = false;      ///< the node's own platform is unknown/unknown
  bool fetches_all = false;     ///< every exact match, but no fallback
  bool compares_features = false;
  bool takes_without_platform = true;  ///< entries that say none
  bool takes_any_arm = false;          ///< for want of a better one
  PlatformWords words{};               ///< in normal form but for literal runtimes
  std::string_view os_version{};
  int level = 0;                             ///< of amd64 (1 = baseline) and arm; 0 = none
  ArmVersion arm_version{};                  ///< of arm64
  std::vector<std::string_view> features{};  ///< sorted
};

/// How an entry stands to a demand. Of two candidates the one of the lower rank is taken, of equal
/// ranks that of the lower preference, of equals the first.
struct Standing {
  Cause cause = Cause::none;
  bool is_fetched = true;  ///< of candidates: it is downloaded when it is the best
  std::uint32_t rank = 0;  ///< 0 = the platform asked for; above: what also runs
  std::uint32_t preference = 0;

  [[nodiscard]] bool is_candidate() const noexcept { return cause == Cause::none; }
  [[nodiscard]] std::uint64_t key() const noexcept {
    return (std::uint64_t{rank} << 32U) | preference;
  }
};

/// Of an entry that may not fit, for want of a better one.
inline constexpr std::uint32_t rank_of_any_arm = 900;
/// Of entries that say no platform: after all those that do.
inline constexpr std::uint32_t rank_without_platform = 1000;

Demand demand_of(const Runtime& runtime, const NodeMachine& node, Format format);
Standing standing_of(const Demand& demand, const Descriptor& entry);

/// The families' rules. @param demand already has what is common to all.
void demand_like_containerd(Demand& demand, const Runtime& runtime, const NodeMachine& node);
Standing standing_in_containerd(const Demand& demand, const Descriptor& entry);
void demand_like_crio(Demand& demand);
Standing standing_in_crio(const Demand& demand, const Descriptor& entry);
Standing standing_in_go_containerregistry(const Demand& demand, const Descriptor& entry);

/// The entry says no platform at all; in Docker's own lists all empty is the same.
bool lacks_platform(const Demand& demand, const Descriptor& entry) noexcept;
/// Whether the two words are the same for the runtime.
bool is_same_for(const Demand& demand, std::string_view a, std::string_view b) noexcept;
/// Annotated as compressed with zstd, in containers/image's way.
bool is_marked_zstd(const Descriptor& entry);

/// Whether the version is the given one or newer; one that is not known is.
constexpr bool is_since(const Runtime& runtime, unsigned major, unsigned minor) noexcept {
  return (runtime.major == 0 && runtime.minor == 0) || runtime.major > major ||
         (runtime.major == major && runtime.minor >= minor);
}

/// What was taken of the list, for the reasons of the others.
struct Outcome {
  std::optional<std::size_t> best{};  ///< the candidate that wins
  Standing standing{};                ///< its
};

/// Why an entry is passed over, or taken although it may not work; empty when there is nothing to
/// say. @param entry into the list's manifests
std::string reason_of(const Demand& demand, const Index& list, const Outcome& outcome,
                      std::size_t entry);

}  // namespace fnimage::manifest
