// Reads the simple commands out of a maintainer script without running anything: quoting, line
// continuations, comments, here-documents, assignments, the variables that follow from the
// architecture, and `for` over literal words. Conditions are not decided: the commands of every
// branch are returned, and what a script computes makes a command inexact. Thread-safety: pure
// functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::source::debian {

struct ShellCommand {
  std::vector<std::string> words;
  bool exact = true;  ///< false: an expansion in it is not known, and "?" stands for it
};

/// Known results of variables ("DPKG_ROOT") and of command substitutions ("dpkg
/// --print-architecture").
using ShellValues = std::map<std::string, std::string, std::less<>>;

/// The values that every maintainer script may ask for.
ShellValues shell_values(std::string_view debian_architecture, std::string_view triplet);

/// The simple commands of a POSIX shell script in their order; at most 20'000, nested loops at most
/// 8 deep. What a script makes of few words is bounded too: values that grow long count as not
/// known, and reading ends after 8 MiB of work: loops may run on without end.
std::vector<ShellCommand> simple_commands(std::string_view script, const ShellValues& known);

}  // namespace fnimage::source::debian
