// What the words of a shell script stand for (POSIX.1-2017, Shell Command Language 2.6):
// parameters, command substitution, field splitting, quotes. What is not known becomes "?" and
// makes a word inexact. Thread-safety: pure functions over a source that belongs to one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::source::debian {

struct ShellWord {
  std::string text{};
  bool exact = true;
  std::string pattern{};    ///< as `text`, with a backslash before what is not special
  bool is_pattern = false;  ///< *, ? or [ that no quote covers
};

/// Where values come from.
class ShellValueSource {
 public:
  virtual ~ShellValueSource() = default;
  /// nullopt: not set. Of "1", "#" and the like, too.
  virtual std::optional<ShellWord> variable(std::string_view name) = 0;
  virtual std::vector<ShellWord> arguments() = 0;
  /// What a command prints, without the line ends at its end.
  virtual ShellWord output_of(std::string_view script) = 0;
  virtual void assign(const std::string& name, const ShellWord& value) = 0;
};

/// The fields that a word becomes; none when it is an empty expansion.
std::vector<ShellWord> expand_fields(std::string_view word, ShellValueSource& source);
/// As expand_fields(), without splitting: values of assignments, subjects and patterns of "case".
ShellWord expand_word(std::string_view word, ShellValueSource& source);
/// The text of a here-document, in which quotes are only themselves.
ShellWord expand_document(std::string_view text, ShellValueSource& source);

/// Whether a text is what a pattern with *, ?, [...] and backslashes describes ("case", "${x#y}").
bool matches_pattern(std::string_view text, std::string_view pattern);

}  // namespace fnimage::source::debian
