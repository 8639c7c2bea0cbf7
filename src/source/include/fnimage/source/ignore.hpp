// Ignore files with the semantics people know from .dockerignore: one pattern a line, '#' comments,
// a leading '/' dropped, '*', '?', '[…]' inside a path part, "**" for any depth including none, '!'
// takes back, the last match wins, a match of a directory covers what is below. Thread-safety:
// const methods from several threads.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::source {

/// One path pattern, matched against a whole relative path. Matching costs path length times
/// pattern length at most, whatever the pattern (nothing is tried again).
class PathPattern {
 public:
  /// Error: invalid_input for an unclosed '[', an unfinished range or a trailing backslash.
  static Result<PathPattern> parse(std::string_view pattern);
  [[nodiscard]] bool matches(std::string_view path) const;
  /// True when the pattern matches the path or a directory above it.
  [[nodiscard]] bool covers(std::string_view path) const;
  /// True when something below the directory `path` could match: lets a walk skip whole
  /// directories.
  [[nodiscard]] bool may_match_below(std::string_view path) const;
  /// The pattern in normal form, without "./", "//" and a leading or trailing '/'.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  struct Step;     // one character, set or wildcard of the pattern, see ignore.cpp
  class Compiler;  // pattern text -> steps
  class Run;       // the set of steps that a path has reached so far
  std::string text_;
  std::shared_ptr<const std::vector<Step>> steps_;
};

class IgnoreRules {
 public:
  IgnoreRules() = default;
  /// Error: invalid_input naming file and line.
  static Result<IgnoreRules> parse(std::string_view text, std::string_view file_name);
  /// Reads .fnimageignore, or .dockerignore when that is missing, in `directory`; none = nothing
  /// ignored.
  static Result<IgnoreRules> load(const std::filesystem::path& directory);

  /// @param path relative, '/'-separated.
  [[nodiscard]] bool ignores(std::string_view path) const;
  /// True when a '!' rule could take back something below an ignored directory.
  [[nodiscard]] bool may_include_below(std::string_view directory) const;

 private:
  struct Rule {
    PathPattern pattern;
    bool include = false;
  };
  std::vector<Rule> rules_;
};

}  // namespace fnimage::source
