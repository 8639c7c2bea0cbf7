// The nodejs runtime: nodejs/action_proxy.js serves `function main(params)` of the user's file
// (design "Action images"). Thread-safety: pure functions.
#pragma once

#include <fnimage/runtime/runtime.hpp>

namespace fnimage::runtime {

/// Error: invalid_argument when main is no JavaScript file.
Result<Runtime> make_nodejs(const Request& request);
Starter nodejs_starter();

}  // namespace fnimage::runtime
