// What the packages of one set need of each other. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/package.hpp"

namespace fnimage::source::debian {

/// For each package the numbers of those that its dependencies mean. Of alternatives the first that
/// is there; what is not there (excluded) is left out.
using PackageNeeds = std::vector<std::vector<std::size_t>>;

/// `unpacked` is parallel to `packages`. Error: invalid_input for a control file that cannot be
/// read.
Result<PackageNeeds> needs_of(std::span<const DebianPackage> packages,
                              std::span<const UnpackedPackage> unpacked);

/// The package and everything that it needs.
std::vector<std::size_t> closure_of(std::size_t package, const PackageNeeds& needs);

}  // namespace fnimage::source::debian
