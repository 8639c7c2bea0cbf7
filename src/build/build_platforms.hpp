// The platforms that one run is for. Private to build. Thread-safety: pure function.
#pragma once

#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::build {

/// Normalised, in order. Errors: invalid_argument for none, one that is there twice, or one that no
/// node could use beside the others.
Result<std::vector<manifest::Platform>> build_platforms(
    const std::vector<manifest::Platform>& asked);

}  // namespace fnimage::build
