// What there is to say about locked packages. Private to build. Thread-safety: pure functions.
#pragma once

#include <vector>

#include <fnimage/build/lock.hpp>

namespace fnimage::build {

/// By name. Packages that changed in the same way on several platforms are one change.
std::vector<LockChange> changes_between(const std::vector<source::PackageSet>& old,
                                        const std::vector<source::PackageSet>& sets);

/// Packages whose version or presence depends on the platform, by name.
std::vector<PackageSkew> skew_of(const std::vector<source::PackageSet>& sets);

}  // namespace fnimage::build
