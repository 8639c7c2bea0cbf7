// Runs one of the host's own programs (gpgv, apt-config) without a shell, its output collected in
// temporary files, so that no pipe can block. Never used for anything that comes out of a package.
// Thread-safety: may be called from any thread.
#pragma once

#include <span>
#include <string>

#include <fnimage/base/result.hpp>

namespace fnimage::source::debian {

struct ProgramOutput {
  int exit_code = 0;  ///< 128 + signal when it was killed
  std::string standard_output;
  std::string standard_error;
};

/// Runs a program found in PATH with LC_ALL=C and no input. Errors: not_found when there is no such
/// program, io.
/// @param command name and arguments. @param max_output larger outputs are an invalid_input error,
/// bytes.
Result<ProgramOutput> run_program(std::span<const std::string> command,
                                  std::uint64_t max_output = std::uint64_t{64} << 20);

}  // namespace fnimage::source::debian
