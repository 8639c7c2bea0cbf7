// The part of a list's lint that is about needs: annotations that resolve and place could not read,
// and needs that the platform of their entry cannot have. Thread-safety: pure functions.
#pragma once

#include <vector>

#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/validate.hpp>

namespace fnimage::require {

/// The rules requires-annotation and variants-annotation; all errors. See manifest::lint().
std::vector<manifest::Finding> lint(const manifest::Index& list);

}  // namespace fnimage::require
