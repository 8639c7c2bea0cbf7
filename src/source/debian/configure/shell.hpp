// A maintainer script without running anything: a small interpreter of the POSIX shell that asks a
// host for everything outside the language. What a script computes by other programs is not known;
// neither are conditions about it, and then every branch is taken, as not sure. Known is what a
// first installation knows: $1, an empty $2, variables, functions, loops over known words, the
// tests that the host answers. No path to a failing `exit` is taken, since the packages of an image
// are installed. Thread-safety: an interpretation belongs to one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fnimage::source::debian {

struct ShellOutput {
  std::string path;
  bool appends = false;
};

struct ShellCommand {
  std::vector<std::string> words{};
  bool exact = true;  ///< false: an expansion in it is not known, and "?" stands for it
  bool sure = true;   ///< false: whether it runs is not known
  std::vector<ShellOutput> outputs{};  ///< files that it prints into
  std::optional<std::string> input{};  ///< what it reads, if that is known
  std::string directory = "/";         ///< where it runs; "?" = not known
  std::uint32_t mask = 022;            ///< umask
  bool is_read = false;                ///< another command or a variable takes what it prints
};

/// What a command of the host's did.
struct ShellAnswer {
  std::optional<bool> success{};        ///< nullopt: not known
  std::optional<std::string> output{};  ///< what it printed; nullopt: not known
  std::optional<std::string> reply{};   ///< for $RET, where debconf answers
  bool sets_reply = false;              ///< $RET is `reply` now, perhaps unknown
};

class ShellHost {
 public:
  virtual ~ShellHost() = default;
  /// A command that is not part of the language, and those that print into files.
  virtual ShellAnswer run(const ShellCommand& command) = 0;
  /// `test -<kind> <path>`; nullopt: not known.
  virtual std::optional<bool> test_file(char kind, const std::string& path);
  /// Paths that a pattern stands for, sorted; nullopt: not known.
  virtual std::optional<std::vector<std::string>> paths_like(const std::string& pattern);
};

/// Known results of variables ("DPKG_ROOT") and of command substitutions ("dpkg
/// --print-architecture").
using ShellValues = std::map<std::string, std::string, std::less<>>;

/// The values that every maintainer script may ask for.
ShellValues shell_values(std::string_view debian_architecture, std::string_view triplet);

/// Interprets a script: at most 20'000 steps. False when it could not be to its end.
bool run_script(std::string_view script, const ShellValues& known,
                std::vector<std::string> arguments, ShellHost& host);

/// The commands that a script may run on a first installation, with nothing known of the image.
std::vector<ShellCommand> simple_commands(std::string_view script, const ShellValues& known,
                                          std::string_view action = "configure");

}  // namespace fnimage::source::debian
