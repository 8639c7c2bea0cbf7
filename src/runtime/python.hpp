// The python runtime: python/python_action.py serves `def main(args)` of the user's file (design
// "Action images"). Thread-safety: pure functions.
#pragma once

#include <fnimage/runtime/runtime.hpp>

namespace fnimage::runtime {

/// Error: invalid_argument when main is no Python file.
Result<Runtime> make_python(const Request& request);
Starter python_starter();

}  // namespace fnimage::runtime
