// Which packages a request needs on one architecture: greedy, as apt decides on an empty system
// without Recommends. Pre-Depends, then Depends; what is chosen already wins, then alternatives
// from left to right, a real package before providers, providers by priority and name; newest
// version. Conflicts and Breaks are reported, not worked around. Thread-safety: pure function of an
// immutable index.
#pragma once

#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/index.hpp"

namespace fnimage::source::debian {

struct Resolution {
  std::vector<DebianPackage> packages;         ///< dependencies before dependents where possible
  std::vector<std::string> unused_excludes{};  ///< excluded names that no dependency reached
};

/// Errors: not_found (unknown package, with the nearest name), invalid_input (unsatisfiable, or a
/// conflict; with the chain of dependencies), invalid_argument (a package both asked for and
/// excluded).
Result<Resolution> resolve_packages(const PackageIndex& index, const PackageRequest& request);

}  // namespace fnimage::source::debian
