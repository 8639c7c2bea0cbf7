// The notebook runtime: notebook/notebook_action.py runs the user's notebook for each activation,
// in a Jupyter kernel or compiled (design "Action images"). Thread-safety: pure functions.
#pragma once

#include <fnimage/runtime/runtime.hpp>

namespace fnimage::runtime {

/// Error: invalid_argument when main is no notebook.
Result<Runtime> make_notebook(const Request& request);
Starter notebook_starter();

}  // namespace fnimage::runtime
