// Platforms "os/arch[/variant]": parsing, normal form and names in other worlds (Debian, GNU
// triplets, uname). Source: image-spec image-index.md "platform", containerd/platforms (Normalize,
// database.go). Thread-safety: a value type and pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::manifest {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;                   ///< empty = none
  std::string os_version;                ///< "os.version", empty = none
  std::vector<std::string> os_features;  ///< "os.features"

  /// Parses "linux/ppc64le", "linux/arm/v7", "ppc64le" (os = linux) and normalises. Error:
  /// invalid_argument. An architecture that is not known is accepted after an os when well formed,
  /// alone it is refused; "ppc64el" is refused with the hint to write ppc64le.
  static Result<Platform> parse(std::string_view text);

  /// "os/arch[/variant]"
  [[nodiscard]] std::string str() const;
  /// str() with '/' replaced by '-', os left out when it is linux: the suffix of per-platform tags
  /// ("ppc64le", "arm-v7").
  [[nodiscard]] std::string tag_suffix() const;

  friend bool operator==(const Platform&, const Platform&) = default;
};

/// containerd's normal form: lower case, aliases (x86_64, x86-64 -> amd64, aarch64 -> arm64, i386
/// -> 386, armhf -> arm/v7…), default variants removed (amd64/v1, arm64/v8) or added (arm -> v7).
Platform normalize(Platform platform);

/// Whether words that somebody says can stand in a list; those that are empty are not said. What
/// normalize() understands (x86_64) is fine. Error: invalid_argument, for other worlds' names of an
/// architecture (ppc64el) with Go's as the hint.
Result<void> check_words(const Platform& platform);

/// The platform this program runs on, without variant but for ARM.
Platform host_platform();

/// Debian's name of the architecture: ppc64le -> "ppc64el", arm/v7 -> "armhf". nullopt when Debian
/// has none.
std::optional<std::string_view> debian_architecture(const Platform& platform) noexcept;

/// Debian's multiarch triplet: "powerpc64le-linux-gnu". nullopt when unknown.
std::optional<std::string_view> multiarch_triplet(const Platform& platform) noexcept;

}  // namespace fnimage::manifest
