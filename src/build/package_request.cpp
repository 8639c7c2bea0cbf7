// See the header.
#include "package_request.hpp"

#include <algorithm>
#include <filesystem>

#include "spec_values.hpp"
#include "user_layers.hpp"

namespace fnimage::build {

namespace {

/// Keys are handed to gpgv, which looks for relative names elsewhere.
std::filesystem::path key_file(const BuildSpec& spec, const std::string& name) {
  std::error_code error;
  return name.empty() ? std::filesystem::path()
                      : std::filesystem::absolute(spec.directory / name, error);
}

}  // namespace

std::filesystem::path package_cache(const Environment& environment) {
  return environment.cache_directory / "debian";
}

source::DebianSettings debian_settings(const BuildSpec& spec, const DebianBase& base,
                                       const Environment& environment, bool offline,
                                       const std::filesystem::path& bundle) {
  source::DebianSettings settings{.release = base.release,
                                  .mirror = base.mirror,
                                  .keyring = key_file(spec, base.signed_by),
                                  .components = base.components,
                                  .suites = base.suites,
                                  .snapshot = base.snapshot,
                                  .directory = spec.directory,
                                  .cache_directory = package_cache(environment),
                                  .bundle = bundle,
                                  .offline = offline};
  for (const PackageRepository& repository : base.repositories) {
    settings.repositories.push_back({.url = repository.url,
                                     .suite = repository.suite,
                                     .components = repository.components,
                                     .keyring = key_file(spec, repository.signed_by)});
  }
  return settings;
}

source::PackageRequest package_request(const BuildSpec& spec, const DebianBase& base,
                                       const std::vector<std::string>& runtime_packages) {
  source::PackageRequest request{.packages = {},
                                 .exclude = spec.exclude,
                                 .essential = base.essential,
                                 .recommends = base.recommends};
  for (const std::string& package : spec.packages) {
    (is_local_deb(package) ? request.local_debs : request.packages).push_back(package);
  }
  for (const std::string& name : runtime_packages) {
    if (std::ranges::find(request.packages, name) == request.packages.end()) {
      request.packages.push_back(name);
    }
  }
  return request;
}

Result<source::PackageRequest> fill_request(source::PackageRequest request,
                                            const manifest::Platform& platform) {
  for (std::string& path : request.local_debs) {
    FNIMAGE_TRY(path, fill_placeholders(path, platform));
  }
  return request;
}

}  // namespace fnimage::build
