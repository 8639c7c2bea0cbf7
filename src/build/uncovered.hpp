// What the packages' scripts do and a build does not: told, or refused. Private to build.
// Thread-safety: pure functions.
#pragma once

#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>

#include "plan.hpp"

namespace fnimage::build {

/// By package; what is the same for several platforms is there once.
std::vector<UncoveredPackage> uncovered_packages(const Plan& plan);

/// One warning for each package; with `strict`, one error for all: unsupported.
Result<void> report_uncovered(const std::vector<UncoveredPackage>& packages, bool strict,
                              Diagnostics& diagnostics);

}  // namespace fnimage::build
