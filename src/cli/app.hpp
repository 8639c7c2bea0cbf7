// The command line as a whole. Thread-safety: run() is called once.
#pragma once

#include "interrupt.hpp"

namespace fnimage::cli {

/// Reads the arguments, runs the command and returns the process's exit code.
/// @param interrupt ends what is under way as cancelled.
int run(int argc, const char* const* argv, Interrupt& interrupt);

}  // namespace fnimage::cli
