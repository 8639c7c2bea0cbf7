// The exec runtime: exec/exec_action.py serves any executable (design "Action images").
// Thread-safety: pure functions.
#pragma once

#include <fnimage/runtime/runtime.hpp>

namespace fnimage::runtime {

/// The main file may also be a path of the image ("/usr/local/bin/solver"): one for each platform
/// comes from the build file's `files`.
Result<Runtime> make_exec(const Request& request);
Starter exec_starter();

}  // namespace fnimage::runtime
