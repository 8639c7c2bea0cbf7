// See the header. Work is bounded by the text's length: substitutions are not scanned again, except
// those inside "${x:-…}", which nest as deep as the grammar lets them. Thread-safety: all state is
// local.
#include "debian/configure/shell_expansion.hpp"

#include <algorithm>
#include <utility>

#include <fnimage/base/text.hpp>

#include "debian/configure/shell_syntax.hpp"
#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::size_t max_fields = 10'000;
constexpr std::size_t max_value = std::size_t{64} << 10;
constexpr std::string_view special_in_patterns = "*?[]\\";

// The set "[a-z!]" at `at`: whether c is in it, and one past its end; 0 when it is not closed.
std::pair<bool, std::size_t> in_set(std::string_view pattern, std::size_t at, char c) {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  i += negated ? 1 : 0;
  bool found = false;
  for (const std::size_t first = i; i < pattern.size() && (pattern[i] != ']' || i == first); ++i) {
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      found = found || (pattern[i] <= c && c <= pattern[i + 2]);
      i += 2;
    } else {
      found = found || pattern[i] == c;
    }
  }
  return i < pattern.size() ? std::pair(found != negated, i + 1) : std::pair(false, std::size_t{0});
}

// How many bytes of the pattern stand for the character; 0: they do not.
std::size_t matches_one(std::string_view pattern, std::size_t at, char c) {
  if (at >= pattern.size()) {
    return 0;
  }
  if (pattern[at] == '[') {
    if (const auto [found, end] = in_set(pattern, at, c); end != 0) {
      return found ? end - at : 0;
    }
  }
  if (pattern[at] == '?') {
    return 1;
  }
  const std::size_t escape = pattern[at] == '\\' && at + 1 < pattern.size() ? 1 : 0;
  return pattern[at + escape] == c ? 1 + escape : 0;
}

class WordExpander {
 public:
  WordExpander(std::string_view word, ShellValueSource& source) : word_(word), source_(source) {}

  WordExpander& without_splitting() {
    splits_ = false;
    return *this;
  }

  std::vector<ShellWord> run() {
    while (at_ < word_.size() && !is_too_large()) {
      const char c = word_[at_];
      if (c == '\'' && !in_quotes_) {
        const std::size_t end = std::min(word_.find('\'', at_ + 1), word_.size());
        append(word_.substr(at_ + 1, end - at_ - 1), true);
        at_ = std::min(end + 1, word_.size());
      } else if (c == '"' && !is_document_) {
        in_quotes_ = !in_quotes_;
        started_ = true;
        ++at_;
      } else if (c == '\\' && at_ + 1 < word_.size()) {
        take_backslash();
      } else if (c == '$' || c == '`') {
        expand();
      } else {
        append(word_.substr(at_, 1), in_quotes_);
        ++at_;
      }
    }
    current_.exact = current_.exact && at_ >= word_.size();
    if (started_) {
      end_field();
    }
    return std::move(fields_);
  }

  WordExpander& as_document() {
    is_document_ = true;
    in_quotes_ = true;
    splits_ = false;
    return *this;
  }

 private:
  void take_backslash() {
    const char next = word_[at_ + 1];
    if (in_quotes_ && std::string_view("$`\"\\\n").find(next) == std::string_view::npos) {
      append("\\", true);
      ++at_;
      return;
    }
    if (next != '\n') {
      append(word_.substr(at_ + 1, 1), true);
    }
    at_ += 2;
  }

  [[nodiscard]] bool is_too_large() const {
    return fields_.size() >= max_fields || current_.text.size() > max_value;
  }

  void append(std::string_view text, bool quoted) {
    if (current_.text.size() > max_value) {
      current_.exact = false;
      return;
    }
    current_.text += text;
    for (const char c : text) {
      const bool special = special_in_patterns.find(c) != std::string_view::npos;
      if (special && quoted) {
        current_.pattern += '\\';
      }
      opens_set_ = opens_set_ || (c == '[' && !quoted);
      current_.is_pattern =
          current_.is_pattern || (!quoted && (c == '*' || c == '?' || (c == ']' && opens_set_)));
      current_.pattern += c;
    }
    started_ = true;
  }

  void end_field() {
    fields_.push_back(std::exchange(current_, {}));
    started_ = false;
    opens_set_ = false;
  }

  void append_value(const ShellWord& value) {
    if (!value.exact) {
      append("?", true);
      current_.exact = false;
      return;
    }
    if (in_quotes_ || !splits_) {
      append(value.text, in_quotes_);
      started_ = true;
      return;
    }
    const std::string_view text = value.text;
    const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
    if (!text.empty() && is_blank(text.front()) && started_) {
      end_field();
    }
    const auto parts = words(text);
    for (std::size_t i = 0; i < parts.size() && fields_.size() < max_fields; ++i) {
      append(parts[i], false);
      if (i + 1 < parts.size() || is_blank(text.back())) {
        end_field();
      }
    }
  }

  void append_arguments() {
    const std::vector<ShellWord> arguments = source_.arguments();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      append_value(arguments[i]);
      if (i + 1 < arguments.size()) {
        if (splits_) {
          end_field();
        } else {
          append(" ", in_quotes_);
        }
      }
    }
  }

  void expand() {
    if (begins_expansion(word_, at_)) {
      const std::size_t end = end_of_expansion(word_, at_);
      const std::size_t open = word_[at_] == '`' ? 1 : 2;
      const std::string_view inside =
          word_.substr(at_ + open, end > at_ + open ? end - at_ - open - 1 : 0);
      const bool is_parameter = word_[at_] == '$' && word_[at_ + 1] == '{';
      at_ = end;
      if (is_parameter) {
        expand_parameter(inside);
      } else {
        append_value(inside.starts_with('(') ? ShellWord{.text = "?", .exact = false}
                                             : source_.output_of(inside));
      }
      return;
    }
    std::size_t end = at_ + 1;
    const bool is_digit = end < word_.size() && word_[end] >= '0' && word_[end] <= '9';
    while (!is_digit && end < word_.size() && is_name_char(word_[end])) {
      ++end;
    }
    if (end == at_ + 1 && end < word_.size() &&
        (is_digit || std::string_view("@*#?$!-").find(word_[end]) != std::string_view::npos)) {
      ++end;
    }
    const std::string_view name = word_.substr(at_ + 1, end - at_ - 1);
    at_ = end;
    if (name.empty()) {
      append("$", true);
    } else {
      append_parameter(name);
    }
  }

  void append_parameter(std::string_view name) {
    if (name == "@" || name == "*") {
      append_arguments();
    } else {
      append_value(source_.variable(name).value_or(ShellWord{}));
    }
  }

  // What is between the braces: "x", "x:-word", "x#pattern", "#x"…
  void expand_parameter(std::string_view inside) {
    if (inside.starts_with('#') && inside.size() > 1) {
      const ShellWord value = source_.variable(inside.substr(1)).value_or(ShellWord{});
      append_value({.text = std::to_string(value.text.size()), .exact = value.exact});
      return;
    }
    std::size_t end = 0;
    while (end < inside.size() && is_name_char(inside[end])) {
      ++end;
    }
    end += end == 0 && !inside.empty() ? 1U : 0U;
    const std::string_view name = inside.substr(0, end);
    std::string_view operation = inside.substr(end);
    if (operation.empty()) {
      append_parameter(name);
      return;
    }
    const bool empty_is_unset = operation.front() == ':';
    operation.remove_prefix(empty_is_unset ? 1 : 0);
    const char kind = operation.empty() ? '\0' : operation.front();
    const std::string_view rest = operation.substr(operation.empty() ? 0 : 1);
    const auto value = name == "@" ? joined_arguments() : source_.variable(name);
    if (kind == '#' || kind == '%') {
      strip(value.value_or(ShellWord{}), kind, rest);
    } else if (std::string_view("-=+?").find(kind) == std::string_view::npos) {
      append_value({.text = "?", .exact = false});  // ${x/y/z} and others of bash
    } else {
      choose(name, value, empty_is_unset, kind, rest);
    }
  }

  std::optional<ShellWord> joined_arguments() {
    ShellWord all;
    for (const ShellWord& argument : source_.arguments()) {
      all.text += (all.text.empty() ? "" : " ") + argument.text;
      all.exact = all.exact && argument.exact;
    }
    return all;
  }

  // ${x:-word}, ${x:=word}, ${x:+word}, ${x:?word}.
  void choose(std::string_view name, const std::optional<ShellWord>& value, bool empty_is_unset,
              char kind, std::string_view rest) {
    if (value && !value->exact) {
      append_value(*value);
      return;
    }
    const bool is_set = value && !(empty_is_unset && value->text.empty());
    if (kind == '+' ? !is_set : is_set) {
      append_value(is_set && kind != '+' ? *value : ShellWord{});
      return;
    }
    const std::vector<ShellWord> parts = WordExpander(rest, source_).run();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      append(parts[i].text, true);
      current_.exact = current_.exact && parts[i].exact;
      if (kind == '=') {
        source_.assign(std::string(name), parts[i]);
      }
      if (i + 1 < parts.size() && splits_ && !in_quotes_) {
        end_field();
      } else if (i + 1 < parts.size()) {
        append(" ", true);
      }
    }
  }

  // ${x#pattern}, ${x##pattern}, ${x%pattern}, ${x%%pattern}.
  void strip(const ShellWord& value, char kind, std::string_view pattern_word) {
    const bool longest = pattern_word.starts_with(kind);
    const ShellWord pattern = expand_word(pattern_word.substr(longest ? 1 : 0), source_);
    constexpr std::size_t max_stripped = 4096;
    if (!value.exact || !pattern.exact || value.text.size() > max_stripped) {
      append_value({.text = "?", .exact = false});
      return;
    }
    const std::string_view text = value.text;
    std::string_view result = text;
    for (std::size_t length = 0; length <= text.size(); ++length) {
      const std::size_t size = longest ? text.size() - length : length;
      const bool hit = kind == '#'
                           ? matches_pattern(text.substr(0, size), pattern.pattern)
                           : matches_pattern(text.substr(text.size() - size), pattern.pattern);
      if (hit) {
        result = kind == '#' ? text.substr(size) : text.substr(0, text.size() - size);
        break;
      }
    }
    append_value({.text = std::string(result)});
  }

  std::string_view word_;
  ShellValueSource& source_;
  std::size_t at_ = 0;
  bool splits_ = true;
  bool in_quotes_ = false;
  bool is_document_ = false;
  ShellWord current_;
  bool started_ = false;
  bool opens_set_ = false;
  std::vector<ShellWord> fields_;
};

ShellWord only_field(std::vector<ShellWord> fields) {
  return fields.empty() ? ShellWord{} : std::move(fields.front());
}

}  // namespace

bool matches_pattern(std::string_view text, std::string_view pattern) {
  std::size_t at = 0;
  std::size_t in_pattern = 0;
  std::size_t star = std::string_view::npos;  // where to go on after a mistake
  std::size_t star_at = 0;
  while (at < text.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = ++in_pattern;
      star_at = at;
    } else if (const std::size_t used = matches_one(pattern, in_pattern, text[at]); used > 0) {
      in_pattern += used;
      ++at;
    } else if (star != std::string_view::npos) {
      in_pattern = star;
      at = ++star_at;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in_pattern) == std::string_view::npos;
}

std::vector<ShellWord> expand_fields(std::string_view word, ShellValueSource& source) {
  return WordExpander(word, source).run();
}

ShellWord expand_word(std::string_view word, ShellValueSource& source) {
  return only_field(WordExpander(word, source).without_splitting().run());
}

ShellWord expand_document(std::string_view text, ShellValueSource& source) {
  return only_field(WordExpander(text, source).as_document().run());
}

}  // namespace fnimage::source::debian
