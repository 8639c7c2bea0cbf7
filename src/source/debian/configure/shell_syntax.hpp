// The grammar of a POSIX shell script (POSIX.1-2017, Shell Command Language 2.3, 2.7, 2.9): tokens,
// then a tree of commands. Nothing is expanded here: words keep their quotes. Thread-safety: pure
// functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::source::debian {

struct ShellRedirection {
  int descriptor = -1;      ///< the number before it; -1 = the operator's own
  std::string operation{};  ///< "<", ">", ">>", "<<", ">&", …
  std::string target{};     ///< the word behind it; of "<<": the document
  bool is_literal = false;  ///< of "<<": nothing in the document is expanded
};

struct ShellNode {
  enum class Kind : std::uint8_t {
    simple,    ///< words: assignments, name, arguments
    sequence,  ///< children one after the other
    pipeline,  ///< children at the same time
    and_or,    ///< children, operators between them in `words`
    negation,  ///< of its child
    branch,    ///< condition, body, condition, body, …, perhaps an else
    loop,      ///< condition, body; words: "while" or "until"
    for_each,  ///< words: name, values ("\"$@\"" when none are given); body
    choice,    ///< words: subject; patterns and children side by side
    function,  ///< words: name; body
    group,     ///< of its child; words: "(" for a subshell, else "{"
  };
  Kind kind = Kind::sequence;
  std::vector<std::string> words{};
  std::vector<ShellRedirection> redirections{};
  std::vector<std::vector<std::string>> patterns{};
  std::vector<ShellNode> children{};
};

struct ShellScript {
  ShellNode root{};
  bool complete = true;  ///< false: the rest was not understood, and `root` ends before it
};

/// Never fails. Nesting of more than 50 commands is not understood.
ShellScript parse_shell(std::string_view text);

/// Where a "$(…)", "${…}" or "`…`" that begins at `at` ends (one past); the end of the text when it
/// is not closed.
std::size_t end_of_expansion(std::string_view text, std::size_t at);

/// True when one of those begins at `at`.
bool begins_expansion(std::string_view text, std::size_t at) noexcept;

/// What may be in a variable's name.
bool is_name_char(char c) noexcept;

}  // namespace fnimage::source::debian
