// See the header.
#include "package_request.hpp"

#include <algorithm>

namespace fnimage::build {

std::filesystem::path package_cache(const Environment& environment) {
  return environment.cache_directory / "debian";
}

source::DebianSettings debian_settings(const DebianBase& base, const Environment& environment,
                                       bool offline, const std::filesystem::path& bundle) {
  return {.release = base.release,
          .mirror = base.mirror,
          .suites = base.suites,
          .cache_directory = package_cache(environment),
          .bundle = bundle,
          .offline = offline};
}

source::PackageRequest package_request(const BuildSpec& spec, const DebianBase& base,
                                       const std::vector<std::string>& runtime_packages) {
  source::PackageRequest request{
      .packages = spec.packages, .exclude = spec.exclude, .essential = base.essential};
  for (const std::string& name : runtime_packages) {
    if (std::ranges::find(request.packages, name) == request.packages.end()) {
      request.packages.push_back(name);
    }
  }
  return request;
}

}  // namespace fnimage::build
