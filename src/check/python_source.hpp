// The import statements of Python source, found without running it: what block a statement is in is
// told from its indentation. Source: The Python Language Reference, "The import statement".
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage::check {

/// When an import is executed.
enum class ImportKind : std::uint8_t {
  required,     ///< whenever the module is
  conditional,  ///< in a block of the module: if, else, with, a class…
  optional      ///< in a function, or where its failure may be caught
};

struct Import {
  ImportKind kind = ImportKind::required;
  std::size_t level = 0;             ///< leading dots of a relative import
  std::string module{};              ///< "a.b"; may be empty when level is not 0
  std::vector<std::string> names{};  ///< of `from module import names`; may be submodules
};

/// All imports, in their order. Source that is no Python gives what looks like imports in it.
std::vector<Import> imports_of(std::string_view source);

}  // namespace fnimage::check
