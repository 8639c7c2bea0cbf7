// Runs the fnimage program with a home, store and cache of its own. Thread-safety: one object
// belongs to one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include <fnimage/test/temp_dir.hpp>

namespace fnimage::test {

struct Outcome {
  int exit_code = -1;  ///< -1 = ended by a signal
  std::string out;
  std::string err;
};

class Program {
 public:
  /// Waits for the end. Paths are relative to directory().
  [[nodiscard]] Outcome run(const std::vector<std::string>& arguments) const;
  /// The same with this text as standard input.
  [[nodiscard]] Outcome run_with_input(const std::vector<std::string>& arguments,
                                       const std::string& input) const;
  /// The same on a terminal where somebody types: each answer, and Enter, once its question is
  /// shown. All that the terminal got is in `out`.
  [[nodiscard]] Outcome run_dialogue(
      const std::vector<std::string>& arguments,
      const std::vector<std::pair<std::string, std::string>>& dialogue) const;
  /// The same with standard error (and output) on a terminal of `columns` columns; all that the
  /// terminal got is in `out`.
  [[nodiscard]] Outcome run_on_terminal(const std::vector<std::string>& arguments,
                                        unsigned short columns) const;
  /// Does not wait; its output goes nowhere. The caller sends signals, and ends with finish().
  [[nodiscard]] pid_t start(const std::vector<std::string>& arguments) const;
  /// The exit code, or 128 + the signal that it died of.
  static int finish(pid_t child);
  /// An environment variable for the program.
  void set(const std::string& name, const std::string& value);

  /// Where the program runs.
  [[nodiscard]] const TempDir& directory() const noexcept { return directory_; }

 private:
  [[nodiscard]] std::vector<std::string> environment() const;
  [[noreturn]] void become(const std::vector<std::string>& arguments) const;

  TempDir directory_;
  TempDir home_;
  std::vector<std::string> extra_;
};

}  // namespace fnimage::test
