// Runs the fnimage program with a home, store and cache of its own. Thread-safety: one object
// belongs to one thread.
#pragma once

#include <string>
#include <vector>

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
  /// The same with standard error (and output) on a terminal of `columns` columns; all that the
  /// terminal got is in `out`.
  [[nodiscard]] Outcome run_on_terminal(const std::vector<std::string>& arguments,
                                        unsigned short columns) const;
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
