// containerd's platform vector and choice, restated from its compare.go.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fnimage/manifest/platform_match.hpp>

#include "platform_names.hpp"

namespace fnimage::manifest {

namespace {

Platform with(const Platform& like, std::string_view architecture, std::string variant) {
  Platform platform = like;
  platform.architecture = architecture;
  platform.variant = std::move(variant);
  return normalize(std::move(platform));
}

void add_arm(std::vector<Platform>& vector, const Platform& like, std::string variant) {
  const int level = level_of(variant);
  vector.push_back(with(like, "arm", std::move(variant)));
  for (int lower = level - 1; lower >= 5; --lower) {
    vector.push_back(with(like, "arm", "v" + std::to_string(lower)));
  }
}

void add_amd64(std::vector<Platform>& vector, const Platform& platform) {
  vector.push_back(platform);
  for (int level = level_of(platform.variant) - 1; level >= 1; --level) {
    vector.push_back(with(platform, "amd64", "v" + std::to_string(level)));
  }
  vector.push_back(with(platform, "386", {}));
}

/// Every minor version from `minor` down to 0 of one major version.
void add_arm64_versions(std::vector<Platform>& vector, const Platform& like, char major,
                        int minor) {
  for (; minor >= 0; --minor) {
    std::string variant{'v', major};
    if (minor > 0) {
      variant += "." + std::to_string(minor);
    }
    vector.push_back(with(like, "arm64", std::move(variant)));
  }
}

void add_arm64(std::vector<Platform>& vector, const Platform& platform) {
  const std::string variant = platform.variant.empty() ? std::string("v8") : platform.variant;
  const bool major_only = variant == "v8" || variant == "v9";
  const bool with_minor = variant.size() == 4 &&
                          (variant.starts_with("v8.") || variant.starts_with("v9.")) &&
                          variant[3] >= '1' && variant[3] <= (variant[1] == '8' ? '9' : '7');
  if (!major_only && !with_minor) {
    vector.push_back(platform);  // not in the table: only the same word will do
    return;
  }
  const int minor = with_minor ? variant[3] - '0' : 0;
  add_arm64_versions(vector, platform, variant[1], minor);
  if (variant[1] == '9') {
    // Armv9.n is Armv8.(n+5) and more; there is no 8.10.
    add_arm64_versions(vector, platform, '8', std::min(minor + 5, 9));
  }
  add_arm(vector, platform, "v8");
}

bool has_features(const Platform& wanted, const Platform& entry) {
  return std::includes(wanted.os_features.begin(), wanted.os_features.end(),
                       entry.os_features.begin(), entry.os_features.end());
}

}  // namespace

int level_of(std::string_view variant) noexcept {
  return variant.size() == 2 && (variant[0] == 'v' || variant[0] == 'V') && variant[1] >= '1' &&
                 variant[1] <= '9'
             ? variant[1] - '0'
             : 0;
}

bool same_platform(const Platform& a, const Platform& b) {
  const Platform x = normalize(a);
  const Platform y = normalize(b);
  return x.os == y.os && x.architecture == y.architecture && x.variant == y.variant;
}

std::vector<Platform> compatible_platforms(const Platform& platform) {
  const Platform normal = normalize(platform);
  std::vector<Platform> vector;
  if (normal.architecture == "amd64") {
    add_amd64(vector, normal);
  } else if (normal.architecture == "arm") {
    add_arm(vector, normal, normal.variant);
  } else if (normal.architecture == "arm64") {
    add_arm64(vector, normal);
  } else {
    vector.push_back(normal);
  }
  return vector;
}

std::optional<std::size_t> best_match(std::span<const Descriptor> entries, const Platform& wanted) {
  for (const Platform& candidate : compatible_platforms(wanted)) {
    std::optional<std::size_t> best;
    std::size_t best_features = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!entries[i].platform || entries[i].platform->os == "unknown") {
        continue;
      }
      const Platform entry = normalize(*entries[i].platform);
      if (entry.os != candidate.os || entry.architecture != candidate.architecture ||
          entry.variant != candidate.variant || !has_features(candidate, entry)) {
        continue;
      }
      if (!best || entry.os_features.size() > best_features) {
        best = i;
        best_features = entry.os_features.size();
      }
    }
    if (best) {
      return best;
    }
  }
  return std::nullopt;
}

}  // namespace fnimage::manifest
