// A program that runs in the foreground: started, attended to until it ends, and ended with all
// that it started. Thread-safety: a function of the calling thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>

namespace fnimage::run {

/// Where a program has a root of its own.
struct Jail {
  std::filesystem::path root;  ///< has proc, tmp, dev/shm and what is bound from /dev
  std::uint32_t uid = 0;       ///< inside
  std::uint32_t gid = 0;
};

struct Program {
  std::string name;                      ///< for messages
  std::vector<std::string> candidates;   ///< absolute, or relative to the directory; the first that
                                         ///< there is
  std::vector<std::string> arguments;    ///< with the program's name
  std::vector<std::string> environment;  ///< "NAME=VALUE"
  std::string directory;                 ///< of the jail, if there is one
  std::optional<Jail> jail{};
};

struct Attendance {
  std::uint16_t port = 0;  ///< where the program is going to listen
  std::stop_token stop{};  ///< it is sent SIGTERM
  std::stop_token kill{};  ///< it is ended with all that it started
  /// What to tell about a line that it wrote to standard error; empty: nothing.
  std::function<std::string(std::string_view line)> advice{};
};

/// Runs a program until it ends, its output passed on as it is; says when it listens. Returns its
/// exit code, or 128 + the signal that ended it. Errors: not_found when there is no such program,
/// unsupported when the kernel permits no namespaces.
Result<int> run_in_foreground(const Program& program, const Attendance& attendance,
                              Diagnostics& diagnostics);

/// Where a program can be: itself with a '/' in its name, else in the directories of a PATH.
std::vector<std::string> program_candidates(std::string_view name, std::string_view path);

/// Sets variables "NAME=VALUE" over others.
void set_variables(const std::vector<std::string>& variables,
                   std::vector<std::string>& environment);

}  // namespace fnimage::run
