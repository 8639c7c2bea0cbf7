// Reading imports, see the header.
#include "python_source.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include <fnimage/base/text.hpp>
#include <fnimage/notebook/python_lines.hpp>

namespace fnimage::check {

namespace {

using notebook::LogicalLine;

std::string_view first_word(std::string_view text) {
  const auto* const end = std::find_if_not(text.begin(), text.end(), notebook::is_name_character);
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

std::string without_blanks(std::string_view text) {
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain),
               [](char c) { return c != ' ' && c != '\t'; });
  return plain;
}

bool is_dotted_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return notebook::is_name_character(c) || c == '.';
  });
}

/// "a.b as c" -> "a.b"
std::string name_before_as(std::string_view text) {
  text = trim(text);
  const std::size_t as = text.find(" as ");
  return without_blanks(text.substr(0, as));
}

/// Blocks that a line is in, by their first words.
class Blocks {
 public:
  /// The kind of an import on this line.
  ImportKind enter(const LogicalLine& line) {
    const std::string_view word = first_word(line.text);
    bool continues_optional = false;
    while (!open_.empty() && open_.back().indent >= line.indent) {
      continues_optional = open_.back().optional && open_.back().indent == line.indent &&
                           (word == "else" || word == "elif");
      open_.pop_back();
    }
    ImportKind kind = open_.empty() ? ImportKind::required : ImportKind::conditional;
    for (const Block& block : open_) {
      kind = block.optional ? ImportKind::optional : kind;
    }
    if (line.text.ends_with(':')) {
      open_.push_back(
          {.indent = line.indent,
           .optional = continues_optional || is_optional(word) || asks_where_it_runs(line.text)});
    }
    return kind;
  }

 private:
  static bool is_optional(std::string_view word) {
    constexpr std::array<std::string_view, 4> words{"def", "async", "try", "except"};
    return std::find(words.begin(), words.end(), word) != words.end();
  }

  /// Conditions about the system, the interpreter or the caller: which branch is taken is not for
  /// us to say.
  static bool asks_where_it_runs(std::string_view text) {
    // PY2, six.PY3, PYPY: words that begin so, since NUMPY ends so.
    constexpr std::array<std::string_view, 7> signs{"platform", "os.name",       "version", " PY",
                                                    ".PY",      "TYPE_CHECKING", "__name__"};
    return std::any_of(signs.begin(), signs.end(), [&](std::string_view sign) {
      return text.find(sign) != std::string_view::npos;
    });
  }

  struct Block {
    std::size_t indent = 0;
    bool optional = false;
  };
  std::vector<Block> open_;
};

void read_import(std::string_view rest, ImportKind kind, std::vector<Import>& imports) {
  for (const std::string_view part : split(rest, ',')) {
    if (std::string name = name_before_as(part); is_dotted_name(name)) {
      imports.push_back({.kind = kind, .module = std::move(name)});
    }
  }
}

void read_from(std::string_view rest, ImportKind kind, std::vector<Import>& imports) {
  const std::size_t import = rest.find("import");
  if (import == std::string_view::npos) {
    return;
  }
  std::string module = without_blanks(rest.substr(0, import));
  std::string names(rest.substr(import + std::string_view("import").size()));
  Import found{.kind = kind, .level = std::min(module.find_first_not_of('.'), module.size())};
  found.module = module.substr(found.level);
  if ((found.level == 0 || !found.module.empty()) && !is_dotted_name(found.module)) {
    return;
  }
  std::erase_if(names, [](char c) { return c == '(' || c == ')'; });
  for (const std::string_view part : split(names, ',')) {
    if (std::string name = name_before_as(part); is_dotted_name(name)) {
      found.names.push_back(std::move(name));
    }
  }
  imports.push_back(std::move(found));
}

}  // namespace

std::vector<Import> imports_of(std::string_view source) {
  std::vector<Import> imports;
  Blocks blocks;
  for (const LogicalLine& line : notebook::logical_lines(source)) {
    const ImportKind kind = blocks.enter(line);
    for (const std::string_view part : split(line.text, ';')) {
      const std::string_view statement = trim(part);
      const std::string_view word = first_word(statement);
      const std::string_view rest = statement.substr(word.size());
      if (word == "import" && rest.starts_with(' ')) {
        read_import(rest, kind, imports);
      } else if (word == "from" && (rest.starts_with(' ') || rest.starts_with('.'))) {
        read_from(rest, kind, imports);
      }
    }
  }
  return imports;
}

}  // namespace fnimage::check
