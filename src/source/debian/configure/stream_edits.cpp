// See the header.
#include "debian/configure/stream_edits.hpp"

#include <vector>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

struct FixedPattern {
  std::string text{};
  bool begins = false;
  bool ends = false;
};

// Up to the separator that no backslash precedes; what is escaped stays so.
std::optional<std::string_view> part_of_program(std::string_view& rest, char separator) {
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == '\\') {
      ++i;
    } else if (rest[i] == separator) {
      const std::string_view part = rest.substr(0, i);
      rest.remove_prefix(i + 1);
      return part;
    }
  }
  return std::nullopt;
}

// Letters and digits behind a backslash are special, and so are these without one.
std::optional<FixedPattern> fixed_pattern(std::string_view text, bool extended) {
  FixedPattern pattern;
  pattern.begins = text.starts_with('^');
  text.remove_prefix(pattern.begins ? 1 : 0);
  const std::string_view special = extended ? ".*[]^$+?(){}|" : ".*[]^$";
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '$' && i + 1 == text.size()) {
      pattern.ends = true;
      break;
    }
    if (c == '\\' && i + 1 < text.size()) {
      c = text[++i];
      const bool basic_special =
          !extended && std::string_view("+?(){}|").find(c) != std::string_view::npos;
      if (basic_special || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
          (c >= 'A' && c <= 'Z') || c == '<' || c == '>') {
        return std::nullopt;
      }
    } else if (special.find(c) != std::string_view::npos) {
      return std::nullopt;
    }
    pattern.text += c;
  }
  return pattern.text.empty() ? std::nullopt : std::optional(pattern);
}

std::optional<std::string> fixed_replacement(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '&') {
      return std::nullopt;
    }
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      if (text[i] >= '0' && text[i] <= 'z' && text[i] != '\\') {
        return std::nullopt;  // "\1", "\n"
      }
    }
    plain += text[i];
  }
  return plain;
}

std::string replaced(std::string_view line, const FixedPattern& pattern,
                     std::string_view replacement, bool everywhere) {
  std::string result;
  std::size_t at = 0;
  while (at <= line.size()) {
    std::size_t found = line.find(pattern.text, at);
    if (pattern.ends && found != std::string_view::npos) {
      found = line.ends_with(pattern.text) ? line.size() - pattern.text.size() : found;
    }
    const bool fits = found != std::string_view::npos && (!pattern.begins || found == 0) &&
                      (!pattern.ends || found + pattern.text.size() == line.size());
    if (!fits) {
      break;
    }
    result.append(line.substr(at, found - at)).append(replacement);
    at = found + pattern.text.size();
    if (!everywhere || pattern.begins) {
      break;
    }
  }
  return result.append(line.substr(at));
}

// "1" to "9", counted from 0.
std::optional<std::size_t> field_number(std::string_view text) {
  return text.size() == 1 && text.front() >= '1' && text.front() <= '9'
             ? std::optional(static_cast<std::size_t>(text.front() - '1'))
             : std::nullopt;
}

// Without what is behind the last line end, when that is nothing.
std::vector<std::string_view> lines_of(std::string_view text) {
  auto lines = split(text, '\n');
  if (!lines.empty() && lines.back().empty()) {
    lines.pop_back();
  }
  return lines;
}

}  // namespace

std::optional<std::string> substitute_fixed(std::string_view program, bool extended,
                                            std::string_view text) {
  if (program.size() < 2 || program.front() != 's') {
    return std::nullopt;
  }
  const char separator = program[1];
  std::string_view rest = program.substr(2);
  const auto pattern_text = part_of_program(rest, separator);
  const auto replacement_text = pattern_text ? part_of_program(rest, separator) : std::nullopt;
  if (!replacement_text || (!rest.empty() && rest != "g")) {
    return std::nullopt;
  }
  const auto pattern = fixed_pattern(*pattern_text, extended);
  const auto replacement = fixed_replacement(*replacement_text);
  if (!pattern || !replacement) {
    return std::nullopt;
  }
  std::string result;
  const auto lines = split(text, '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    result += replaced(lines[i], *pattern, *replacement, rest == "g");
    result += i + 1 < lines.size() ? "\n" : "";
  }
  return result;
}

std::optional<std::string> print_field(std::string_view program, std::string_view text) {
  std::string plain;
  for (const char c : program) {
    if (c != ' ') {
      plain += c;
    }
  }
  constexpr std::string_view head = "{print$";
  if (plain.size() != head.size() + 2 || !plain.starts_with(head) || !plain.ends_with('}')) {
    return std::nullopt;
  }
  const auto number = field_number(std::string_view(plain).substr(head.size(), 1));
  if (!number) {
    return std::nullopt;
  }
  std::string result;
  for (const std::string_view line : lines_of(text)) {
    const auto fields = words(line);
    result.append(*number < fields.size() ? fields[*number] : std::string_view()).append("\n");
  }
  return result;
}

std::optional<std::string> cut_field(std::string_view separator, std::string_view field,
                                     std::string_view text) {
  const auto number = field_number(field);
  if (!number || separator.size() != 1) {
    return std::nullopt;
  }
  std::string result;
  for (const std::string_view line : lines_of(text)) {
    const auto fields = split(line, separator.front());
    const bool is_whole = fields.size() == 1;
    const std::string_view found = *number < fields.size() ? fields[*number] : std::string_view();
    result.append(is_whole ? line : found).append("\n");
  }
  return result;
}

}  // namespace fnimage::source::debian
