// The command line as a whole. Thread-safety: run() is called once.
#pragma once

namespace fnimage::cli {

/// Reads the arguments, runs the command and returns the process's exit code.
int run(int argc, const char* const* argv);

}  // namespace fnimage::cli
