// Debian's names for a platform. Thread-safety: pure function.
#pragma once

#include <string>

#include <fmt/format.h>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::source::debian {

struct ArchitectureNames {
  std::string architecture;  ///< "ppc64el"
  std::string triplet;       ///< "powerpc64le-linux-gnu"
};

/// Error: platform_mismatch when Debian has no such architecture.
inline Result<ArchitectureNames> names_of(const manifest::Platform& platform) {
  const auto architecture = manifest::debian_architecture(platform);
  const auto triplet = manifest::multiarch_triplet(platform);
  if (!architecture || !triplet) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("Debian has no architecture for {}", platform.str()),
                "use a base image for this platform, or leave it out");
  }
  return ArchitectureNames{std::string(*architecture), std::string(*triplet)};
}

}  // namespace fnimage::source::debian
