// See the header.
#include "uncovered.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::build {

namespace {

std::string line_of(const UncoveredPackage& package) {
  std::vector<std::string> names;
  for (const manifest::Platform& platform : package.platforms) {
    names.push_back(platform.str());
  }
  return fmt::format("{}{}: {}", package.package,
                     names.empty() ? "" : fmt::format(" ({})", join(names, ", ")),
                     join(package.commands, "; "));
}

}  // namespace

std::vector<UncoveredPackage> uncovered_packages(const Plan& plan) {
  using Key = std::pair<std::string, std::vector<std::string>>;
  std::map<Key, std::vector<manifest::Platform>> found;
  for (const PlatformPlan& platform : plan.platforms) {
    for (const source::UncoveredScript& script : platform.uncovered) {
      found[{script.package, script.commands}].push_back(platform.platform);
    }
  }
  std::vector<UncoveredPackage> packages;
  for (auto& [key, platforms] : found) {
    const bool everywhere = platforms.size() == plan.platforms.size();
    packages.push_back(
        {.package = key.first,
         .commands = key.second,
         .platforms = everywhere ? std::vector<manifest::Platform>() : std::move(platforms)});
  }
  return packages;
}

Result<void> report_uncovered(const std::vector<UncoveredPackage>& packages, bool strict,
                              Diagnostics& diagnostics) {
  if (!strict) {
    for (const UncoveredPackage& package : packages) {
      diagnostics.report(Severity::warning,
                         "not done of the package's scripts: " + line_of(package));
    }
    return {};
  }
  if (packages.empty()) {
    return {};
  }
  std::string lines;
  for (const UncoveredPackage& package : packages) {
    lines += "\n  " + line_of(package);
  }
  return fail(ErrorCode::unsupported,
              fmt::format("the scripts of {} package{} do what no rule covers:{}", packages.size(),
                          packages.size() == 1 ? "" : "s", lines),
              "leave the packages out (exclude), or build without --strict when the image can do "
              "without that");
}

}  // namespace fnimage::build
