// What a build file on a base of Debian packages asks the package sources for: the same for `build`
// and for `lock`. Private to build. Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include <fnimage/build/build.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/source/debian.hpp>

namespace fnimage::build {

/// Where packages are downloaded and unpacked to.
std::filesystem::path package_cache(const Environment& environment);

/// @param bundle directory of .debs; may be empty.
source::DebianSettings debian_settings(const BuildSpec& spec, const DebianBase& base,
                                       const Environment& environment, bool offline,
                                       const std::filesystem::path& bundle);

/// The build file's packages and those of the runtime. Names of local .debs are as in the build
/// file: with what depends on the platform unfilled.
source::PackageRequest package_request(const BuildSpec& spec, const DebianBase& base,
                                       const std::vector<std::string>& runtime_packages);

/// The request for one platform. Error: invalid_input for a placeholder that it has no value for.
Result<source::PackageRequest> fill_request(source::PackageRequest request,
                                            const manifest::Platform& platform);

}  // namespace fnimage::build
