// Runs one of the host's own programs (gpgv, apt-config) without a shell, its output collected in
// temporary files, so that no pipe can block. Of what comes out of a package only
// python/interpreter runs anything. Thread-safety: may be called from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>

#include "debian/confinement.hpp"

namespace fnimage::source::debian {

struct ProgramOutput {
  int exit_code = 0;  ///< 128 + signal when it was killed
  std::string standard_output;
  std::string standard_error;
};

struct ProgramOptions {
  std::uint64_t max_output = std::uint64_t{64} << 20;  ///< bytes; more are an invalid_input error
  /// All that the program gets; nullopt = this process's with LC_ALL=C.
  std::optional<std::vector<std::string>> environment{};
  std::uint64_t max_memory = 0;   ///< bytes of address space; 0 = as this process
  std::uint64_t max_seconds = 0;  ///< of processor time; 0 = as this process
  /// What the program may touch, where the kernel can keep it to that; nullopt = everything.
  std::optional<Confinement> confinement{};
};

/// Runs a program found in PATH, with no input. Errors: not_found when there is no such program,
/// io.
/// @param command name and arguments.
Result<ProgramOutput> run_program(std::span<const std::string> command,
                                  const ProgramOptions& options = {});

}  // namespace fnimage::source::debian
