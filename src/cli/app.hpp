// The command line as a whole. Thread-safety: run() is called once.
#pragma once

#include <stop_token>

namespace fnimage::cli {

/// Reads the arguments, runs the command and returns the process's exit code.
/// @param stop ends what is under way as cancelled.
int run(int argc, const char* const* argv, const std::stop_token& stop);

}  // namespace fnimage::cli
