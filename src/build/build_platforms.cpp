// See the header.
#include "build_platforms.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/manifest/platform_match.hpp>

#include "spec_values.hpp"

namespace fnimage::build {

Result<std::vector<manifest::Platform>> build_platforms(
    const std::vector<manifest::Platform>& asked) {
  std::vector<manifest::Platform> platforms;
  for (const manifest::Platform& one : asked) {
    manifest::Platform platform = manifest::normalize(one);
    if (std::ranges::any_of(platforms, [&](const manifest::Platform& other) {
          return manifest::same_platform(other, platform);
        })) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("platform {} is asked for twice", platform.str()));
    }
    platforms.push_back(std::move(platform));
  }
  if (platforms.empty()) {
    return fail(ErrorCode::invalid_argument, "there is no platform to build",
                "list them in the build file: platforms: [linux/amd64, linux/ppc64le]");
  }
  for (std::size_t i = 0; i < platforms.size(); ++i) {
    if (const auto fault = fault_among(platforms, i)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("platform {}: {}", platforms[i].str(), fault->message), fault->fix);
    }
  }
  return platforms;
}

}  // namespace fnimage::build
