// The proof that what is planned can start, before anything is packed. Thread-safety: as
// make_plan().
#pragma once

#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>

#include "plan.hpp"

namespace fnimage::build {

/// Checks each platform's files; above a base image, whose files are not read, only that they are
/// for the platform. What was found good is remembered in the cache by the keys of its trees.
/// Warnings go to the diagnostics. Errors: platform_mismatch or invalid_input that name what cannot
/// work; those of reading.
Result<void> check_plan(const BuildSpec& spec, const Plan& plan, const Environment& environment);

}  // namespace fnimage::build
