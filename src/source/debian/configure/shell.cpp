// A lexer and a very small interpreter for shell.hpp (POSIX.1-2017, Shell Command
// Language 2.2, 2.3, 2.6, 2.9.4). Never fails: what it does not understand becomes an inexact
// command. Thread-safety: all state is local.
#include "debian/configure/shell.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::size_t max_commands = 20'000;
constexpr int max_depth = 8;
// A script of a few lines can name a text of any size and count without end, in commands that say
// nothing: values grow by what they hold, and loops nest.
constexpr std::size_t max_value_bytes = 4096;
constexpr std::size_t max_expansion_bytes = std::size_t{64} << 10;  // of one word
constexpr std::size_t max_work = std::size_t{8} << 20;              // bytes read and made

bool is_name_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_operator_char(char c) noexcept {
  return std::string_view(";&|()<>\n").find(c) != std::string_view::npos;
}

struct Token {
  std::string text;  ///< words keep their quotes
  bool is_operator = false;
};

// Where a "$(…)", "${…}" or "`…`" that begins at `at` ends (one past); the end of the text when it
// is not closed.
std::size_t end_of_expansion(std::string_view text, std::size_t at) {
  if (text[at] == '`') {
    const std::size_t close = text.find('`', at + 1);
    return close == std::string_view::npos ? text.size() : close + 1;
  }
  const char open = text[at + 1];
  const char close = open == '(' ? ')' : '}';
  int depth = 0;
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    depth += text[i] == open ? 1 : 0;
    depth -= text[i] == close ? 1 : 0;
    if (depth == 0) {
      return i + 1;
    }
  }
  return text.size();
}

bool begins_expansion(std::string_view text, std::size_t at) {
  return text[at] == '`' ||
         (text[at] == '$' && at + 1 < text.size() && (text[at + 1] == '(' || text[at + 1] == '{'));
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
        at_ += 2;
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (is_operator_char(c)) {
        take_operator();
      } else {
        tokens_.push_back({take_word(), false});
      }
    }
    return std::move(tokens_);
  }

 private:
  void take_operator() {
    const char c = text_[at_++];
    std::string text(1, c);
    if (c != '\n' && at_ < text_.size() && text_[at_] == c && c != '(' && c != ')') {
      text += c;
      ++at_;
    }
    if (text == "<<") {
      take_here_document_mark();
      return;
    }
    tokens_.push_back({text, true});
    if (c == '\n') {
      skip_here_documents();
    }
  }

  void take_here_document_mark() {
    if (at_ < text_.size() && text_[at_] == '-') {
      ++at_;
    }
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) {
      ++at_;
    }
    std::string mark = take_word();
    std::erase_if(mark, [](char c) { return c == '\'' || c == '"' || c == '\\'; });
    marks_.push_back(std::move(mark));
  }

  void skip_here_documents() {
    for (const std::string& mark : marks_) {
      while (at_ < text_.size()) {
        const std::size_t end = std::min(text_.find('\n', at_), text_.size());
        const std::string_view line = trim(text_.substr(at_, end - at_));
        at_ = std::min(end + 1, text_.size());
        if (line == mark) {
          break;
        }
      }
    }
    marks_.clear();
  }

  std::string take_word() {
    const std::size_t begin = at_;
    std::string word;
    char quote = '\0';
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (quote != '\'' && c == '\\' && at_ + 1 < text_.size()) {
        if (text_[at_ + 1] != '\n') {
          word += text_.substr(at_, 2);
        }
        at_ += 2;
        continue;
      }
      if (quote != '\'' && begins_expansion(text_, at_)) {
        const std::size_t end = end_of_expansion(text_, at_);
        word += text_.substr(at_, end - at_);
        at_ = end;
        continue;
      }
      if (quote == '\0' && (c == ' ' || c == '\t' || is_operator_char(c))) {
        break;
      }
      if (c == quote) {
        quote = '\0';
      } else if (quote == '\0' && (c == '\'' || c == '"')) {
        quote = c;
      }
      word += c;
      ++at_;
    }
    at_ = std::max(at_, begin + (word.empty() && at_ < text_.size() ? 1 : 0));
    return word;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
  std::vector<std::string> marks_;
};

// A word after expansion; unquoted expansions may have split it into several.
struct Expansion {
  std::vector<std::string> words;
  bool exact = true;
};

class Expander {
 public:
  Expander(std::string_view word, const ShellValues& values) : word_(word), values_(values) {}

  Expansion run() {
    while (at_ < word_.size()) {
      const char c = word_[at_];
      if (c == '\'' && quote_ != '"') {
        const std::size_t end = std::min(word_.find('\'', at_ + 1), word_.size());
        append(word_.substr(at_ + 1, end - at_ - 1));
        at_ = std::min(end + 1, word_.size());
      } else if (c == '"') {
        quote_ = quote_ == '"' ? '\0' : '"';
        started_ = true;
        ++at_;
      } else if (c == '\\' && at_ + 1 < word_.size()) {
        append(word_.substr(at_ + 1, 1));
        at_ += 2;
      } else if (c == '$' || c == '`') {
        expand();
      } else {
        append(word_.substr(at_, 1));
        ++at_;
      }
    }
    if (started_) {
      result_.words.push_back(std::move(current_));
    }
    return std::move(result_);
  }

 private:
  void append(std::string_view text) {
    started_ = true;
    if (text.size() > max_expansion_bytes - bytes_) {
      result_.exact = false;
      return;
    }
    bytes_ += text.size();
    current_ += text;
  }

  void substitute(std::string_view name) {
    const auto value = values_.find(name);
    if (value == values_.end() || value->second.size() > max_expansion_bytes - bytes_) {
      result_.exact = false;
      append("?");
    } else if (quote_ == '"') {
      append(value->second);
    } else {
      split_in(value->second);
    }
  }

  void split_in(const std::string& value) {
    bool first = true;
    for (const std::string_view part : words(value)) {
      if (!first) {
        result_.words.push_back(std::move(current_));
        current_.clear();
      }
      append(part);
      first = false;
    }
  }

  void expand() {
    if (begins_expansion(word_, at_)) {
      const std::size_t end = end_of_expansion(word_, at_);
      const std::size_t open = word_[at_] == '`' ? 1 : 2;
      const std::string_view inside =
          word_.substr(at_ + open, end > at_ + open ? end - at_ - open - 1 : 0);
      at_ = end;
      substitute(normalized(inside));
      return;
    }
    std::size_t end = at_ + 1;
    while (end < word_.size() && is_name_char(word_[end])) {
      ++end;
    }
    if (end == at_ + 1) {  // "$@", "$#", a lone "$"
      end = std::min(end + 1, word_.size());
    }
    const std::string_view name = word_.substr(at_ + 1, end - at_ - 1);
    at_ = end;
    substitute(name);
  }

  // "${DPKG_ROOT:-}" and "$( dpkg  --print-architecture 2>/dev/null )" in the spelling of the known
  // values.
  static std::string normalized(std::string_view inside) {
    if (const std::size_t fallback = inside.find(":-"); fallback != std::string_view::npos) {
      inside = inside.substr(0, fallback);
    }
    std::vector<std::string> parts;
    for (const std::string_view word : words(inside)) {
      if (!word.starts_with("2>")) {
        parts.emplace_back(word);
      }
    }
    return join(parts, " ");
  }

  std::string_view word_;
  const ShellValues& values_;
  std::size_t at_ = 0;
  char quote_ = '\0';
  std::string current_;
  std::size_t bytes_ = 0;
  bool started_ = false;
  Expansion result_;
};

class Interpreter {
 public:
  explicit Interpreter(const ShellValues& values) : values_(values) {}

  void run(std::span<const Token> tokens, int depth) {
    std::size_t at = 0;
    while (at < tokens.size() && !is_enough()) {
      at = skip_case_pattern(tokens, at);
      const std::size_t end = end_of_command(tokens, at);
      count(end - at + 1);
      const auto command = tokens.subspan(at, end - at);
      const bool is_function_name = end < tokens.size() && tokens[end].text == "(";
      at = end + 1;
      if (command.empty() || is_function_name) {
        continue;
      }
      if (command.front().text == "for" && command.size() >= 3) {
        at = run_loop(tokens, command, at, depth);
      } else {
        run_command(command);
      }
    }
  }

  std::vector<ShellCommand> take() { return std::move(commands_); }

 private:
  [[nodiscard]] bool is_enough() const noexcept {
    return commands_.size() >= max_commands || work_ > max_work;
  }

  /// Counts tokens that were looked at.
  void count(std::size_t tokens) noexcept { work_ += tokens * sizeof(Token); }

  Expansion expand(const Token& token) {
    Expansion expansion = Expander(token.text, values_).run();
    count(1);
    work_ += token.text.size();
    for (const std::string& word : expansion.words) {
      work_ += word.size() + sizeof(word);
    }
    return expansion;
  }

  static std::size_t end_of_command(std::span<const Token> tokens, std::size_t at) {
    while (at < tokens.size() &&
           !(tokens[at].is_operator && tokens[at].text.find_first_of("<>") == std::string::npos)) {
      ++at;
    }
    return at;
  }

  // "configure|reconfigure)" and "case $1 in configure)": behind the ")" when there is one, else
  // `at`.
  std::size_t skip_case_pattern(std::span<const Token> tokens, std::size_t at) {
    std::size_t end = at;
    while (end < tokens.size() &&
           (!tokens[end].is_operator || tokens[end].text == "|" ||
            (tokens[end].text == "\n" && ends_in_word_in(tokens, at, end)))) {
      ++end;
    }
    count(end - at);
    return end < tokens.size() && tokens[end].text == ")" ? end + 1 : at;
  }

  static bool ends_in_word_in(std::span<const Token> tokens, std::size_t at, std::size_t end) {
    return end > at && tokens[at].text == "case" && tokens[end - 1].text == "in";
  }

  // Runs "for NAME in WORD… ; do BODY done" once per word; returns the token behind it.
  std::size_t run_loop(std::span<const Token> tokens, std::span<const Token> head, std::size_t at,
                       int depth) {
    std::size_t begin = at;
    while (begin < tokens.size() && tokens[begin].text != "do") {
      ++begin;
    }
    std::size_t end = begin;
    int open = 0;
    for (; end < tokens.size(); ++end) {
      const std::string& text = tokens[end].text;
      open += !tokens[end].is_operator && text == "do" ? 1 : 0;
      open -= !tokens[end].is_operator && text == "done" ? 1 : 0;
      if (open == 0) {
        break;
      }
    }
    count(end - at);
    if (begin >= end || depth >= max_depth) {
      return std::min(end + 1, tokens.size());
    }
    const auto body = tokens.subspan(begin + 1, end - begin - 1);
    const std::string name = head[1].text;
    for (const Token& token : head.subspan(std::min<std::size_t>(3, head.size()))) {
      const Expansion expansion = expand(token);
      for (const std::string& word : expansion.words) {
        if (is_enough()) {
          break;
        }
        count(1);
        assign(name, word, expansion.exact && word.find('*') == std::string::npos);
        run(body, depth + 1);
      }
    }
    return end + 1;
  }

  void assign(const std::string& name, const std::string& value, bool exact) {
    if (exact && value.size() <= max_value_bytes) {
      values_.insert_or_assign(name, value);
    } else {
      values_.erase(name);
    }
  }

  // "NAME=value" as the name's length; nullopt for any other word.
  static std::optional<std::size_t> assignment(std::string_view word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0 ||
        !std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     is_name_char)) {
      return std::nullopt;
    }
    return equals;
  }

  void run_command(std::span<const Token> tokens) {
    constexpr std::array<std::string_view, 13> reserved{
        "if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}", "esac"};
    ShellCommand command;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const Token& token = tokens[i];
      if (is_enough()) {
        command.exact = false;
        break;
      }
      if (token.is_operator) {  // a redirection: its target is no argument
        ++i;
        continue;
      }
      const bool is_number = i + 1 < tokens.size() && tokens[i + 1].is_operator &&
                             token.text.find_first_not_of("0123456789") == std::string::npos;
      if (is_number || (command.words.empty() && std::find(reserved.begin(), reserved.end(),
                                                           token.text) != reserved.end())) {
        continue;
      }
      const Expansion expansion = expand(token);
      if (const auto equals = assignment(token.text); command.words.empty() && equals) {
        const std::string value = expansion.words.empty() ? "" : expansion.words.front();
        assign(token.text.substr(0, *equals), value.substr(std::min(*equals + 1, value.size())),
               expansion.exact);
        continue;
      }
      command.words.insert(command.words.end(), expansion.words.begin(), expansion.words.end());
      command.exact = command.exact && expansion.exact;
    }
    if (!command.words.empty()) {
      commands_.push_back(std::move(command));
    }
  }

  ShellValues values_;
  std::size_t work_ = 0;
  std::vector<ShellCommand> commands_;
};

}  // namespace

ShellValues shell_values(std::string_view debian_architecture, std::string_view triplet) {
  ShellValues values;
  values["DPKG_ROOT"] = "";
  values["DPKG_MAINTSCRIPT_ARCH"] = debian_architecture;
  values["dpkg --print-architecture"] = debian_architecture;
  values["dpkg-architecture -qDEB_HOST_ARCH"] = debian_architecture;
  for (const std::string_view command :
       {"dpkg --print-multiarch", "dpkg-architecture -qDEB_HOST_MULTIARCH",
        "dpkg-architecture -q DEB_HOST_MULTIARCH", "gcc -print-multiarch"}) {
    values[std::string(command)] = triplet;
  }
  return values;
}

std::vector<ShellCommand> simple_commands(std::string_view script, const ShellValues& known) {
  Interpreter interpreter(known);
  const std::vector<Token> tokens = Lexer(script).run();
  interpreter.run(tokens, 0);
  return interpreter.take();
}

}  // namespace fnimage::source::debian
