// A lexer and a recursive-descent parser for shell_syntax.hpp. Here-documents are read when their
// line ends, as the grammar says, and put into the token that announced them. Thread-safety: all
// state is local.
#include "debian/configure/shell_syntax.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

namespace fnimage::source::debian {
namespace {

using Kind = ShellNode::Kind;

constexpr int max_nesting = 50;

struct ShellToken {
  std::string text;  ///< words keep their quotes; of "<<": the document
  bool is_operator = false;
  bool is_document = false;
  bool is_literal = false;  ///< a here-document that nothing is expanded in
  int descriptor = -1;
};

bool is_shell_operator(char c) noexcept {
  return std::string_view(";&|()<>\n").find(c) != std::string_view::npos;
}

// Where quotes and expansions end, which may be in each other. Hostile scripts nest without end.
class ShellSpan {
 public:
  explicit ShellSpan(std::string_view text) : text_(text) {}

  // One past the quoted text that begins at `at`.
  std::size_t end_of_quotes(std::size_t at) {
    const char quote = text_[at];
    for (std::size_t i = at + 1; i < text_.size(); ++i) {
      if (quote == '"' && begins_expansion(text_, i)) {
        i = end_of_expansion(i) - 1;
      } else if (text_[i] == '\\' && quote == '"') {
        ++i;
      } else if (text_[i] == quote) {
        return i + 1;
      }
    }
    return text_.size();
  }

  std::size_t end_of_expansion(std::size_t at) {
    if (text_[at] == '`') {
      const std::size_t close = text_.find('`', at + 1);
      return close == std::string_view::npos ? text_.size() : close + 1;
    }
    if (++nesting_ > max_nesting) {
      return text_.size();
    }
    const std::size_t end = end_of_brackets(at + 1, text_[at + 1] == '(' ? ')' : '}');
    --nesting_;
    return end;
  }

 private:
  std::size_t end_of_brackets(std::size_t open, char close) {
    int depth = 0;
    for (std::size_t i = open; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c == '\\') {
        ++i;
      } else if (c == '"' || (c == '\'' && close == ')')) {
        i = end_of_quotes(i) - 1;
      } else if (i > open && begins_expansion(text_, i)) {
        i = end_of_expansion(i) - 1;
      } else {
        depth += c == text_[open] ? 1 : 0;
        depth -= c == close ? 1 : 0;
        if (depth == 0) {
          return i + 1;
        }
      }
    }
    return text_.size();
  }

  std::string_view text_;
  int nesting_ = 0;
};

class ShellLexer {
 public:
  explicit ShellLexer(std::string_view text) : text_(text) {}

  std::vector<ShellToken> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
        at_ += 2;
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (is_shell_operator(c)) {
        take_operator();
      } else {
        tokens_.push_back({.text = take_word()});
        word_end_ = at_;
      }
    }
    return std::move(tokens_);
  }

 private:
  void take_operator() {
    constexpr std::array<std::string_view, 10> longer{"&&", "||", ";;", "<<-", "<<",
                                                      ">>", "<&", ">&", "<>",  ">|"};
    ShellToken token{.text = std::string(1, text_[at_]), .is_operator = true};
    for (const std::string_view candidate : longer) {
      if (text_.substr(at_).starts_with(candidate)) {
        token.text = candidate;
        break;
      }
    }
    if (token.text.find_first_of("<>") != std::string::npos) {
      token.descriptor = take_descriptor();
    }
    at_ += token.text.size();
    if (token.text.starts_with("<<")) {
      announce_document(std::move(token));
      return;
    }
    const bool ends_line = token.text == "\n";
    tokens_.push_back(std::move(token));
    if (ends_line) {
      read_documents();
    }
  }

  // The number of "2>", which is a word only when a blank follows it.
  int take_descriptor() {
    if (tokens_.empty() || tokens_.back().is_operator || word_end_ != at_ ||
        tokens_.back().text.size() != 1 || tokens_.back().text.front() < '0' ||
        tokens_.back().text.front() > '9') {
      return -1;
    }
    const int descriptor = tokens_.back().text.front() - '0';
    tokens_.pop_back();
    return descriptor;
  }

  void announce_document(ShellToken token) {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) {
      ++at_;
    }
    const bool strips = token.text == "<<-";
    std::string mark = take_word();
    const std::size_t quoted =
        std::erase_if(mark, [](char c) { return c == '\'' || c == '"' || c == '\\'; });
    token.is_document = true;
    token.is_literal = quoted > 0;
    documents_.push_back({tokens_.size(), std::move(mark), strips});
    token.text.clear();
    tokens_.push_back(std::move(token));
  }

  void read_documents() {
    for (const Document& document : documents_) {
      std::string text;
      while (at_ < text_.size()) {
        const std::size_t end = std::min(text_.find('\n', at_), text_.size());
        std::string_view line = text_.substr(at_, end - at_);
        at_ = std::min(end + 1, text_.size());
        if (document.strips) {
          line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
        }
        if (line == document.mark) {
          break;
        }
        text.append(line).append("\n");
      }
      tokens_[document.token].text = std::move(text);
    }
    documents_.clear();
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
      if (quote == '\0' && (c == ' ' || c == '\t' || is_shell_operator(c))) {
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

  struct Document {
    std::size_t token;
    std::string mark;
    bool strips;
  };

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t word_end_ = 0;
  std::vector<ShellToken> tokens_;
  std::vector<Document> documents_;
};

class ShellParser {
 public:
  explicit ShellParser(std::vector<ShellToken> tokens) : tokens_(std::move(tokens)) {}

  ShellScript run() {
    ShellScript script;
    script.root = list({});
    script.complete = !broken_ && at_ == tokens_.size();
    return script;
  }

 private:
  using Words = std::initializer_list<std::string_view>;

  [[nodiscard]] bool at_operator(std::string_view text) const {
    return at_ < tokens_.size() && tokens_[at_].is_operator && !tokens_[at_].is_document &&
           tokens_[at_].text == text;
  }
  [[nodiscard]] bool at_word(std::string_view text) const {
    return at_ < tokens_.size() && !tokens_[at_].is_operator && tokens_[at_].text == text;
  }
  [[nodiscard]] bool at_any_word(Words words) const {
    return std::ranges::any_of(words, [&](std::string_view word) { return at_word(word); });
  }
  bool take_operator(std::string_view text) {
    const bool there = at_operator(text);
    at_ += there ? 1 : 0;
    return there;
  }
  bool take_word(std::string_view text) {
    const bool there = at_word(text);
    at_ += there ? 1 : 0;
    return there;
  }
  void require(bool there) { broken_ = broken_ || !there; }
  void skip_lines() {
    while (take_operator("\n")) {
    }
  }

  // Commands up to one of these words, ")" or ";;".
  ShellNode list(Words ends) {
    ShellNode node{.kind = Kind::sequence};
    if (++nesting_ > max_nesting) {
      broken_ = true;
    }
    while (!broken_) {
      while (take_operator("\n") || take_operator(";") || take_operator("&")) {
      }
      if (at_ >= tokens_.size() || at_operator(")") || at_operator(";;") || at_any_word(ends)) {
        break;
      }
      const std::size_t before = at_;
      ShellNode one = and_or();
      if (broken_ || at_ == before) {
        broken_ = true;
        break;
      }
      node.children.push_back(std::move(one));
    }
    --nesting_;
    return node;
  }

  ShellNode and_or() {
    ShellNode first = pipeline();
    if (!at_operator("&&") && !at_operator("||")) {
      return first;
    }
    ShellNode node{.kind = Kind::and_or};
    node.children.push_back(std::move(first));
    while (!broken_ && (at_operator("&&") || at_operator("||"))) {
      node.words.push_back(tokens_[at_++].text);
      skip_lines();
      node.children.push_back(pipeline());
    }
    return node;
  }

  ShellNode pipeline() {
    const bool negated = take_word("!");
    ShellNode first = command();
    if (at_operator("|")) {
      ShellNode node{.kind = Kind::pipeline};
      node.children.push_back(std::move(first));
      while (!broken_ && take_operator("|")) {
        skip_lines();
        node.children.push_back(command());
      }
      first = std::move(node);
    }
    if (!negated) {
      return first;
    }
    ShellNode node{.kind = Kind::negation};
    node.children.push_back(std::move(first));
    return node;
  }

  ShellNode command() {
    ShellNode node = compound();
    while (node.kind != Kind::simple && node.kind != Kind::function && at_redirection()) {
      node.redirections.push_back(redirection());
    }
    return node;
  }

  ShellNode compound() {
    if (take_operator("(")) {
      ShellNode node{.kind = Kind::group, .words = {"("}};
      node.children.push_back(list({}));
      require(take_operator(")"));
      return node;
    }
    if (take_word("{")) {
      ShellNode node{.kind = Kind::group, .words = {"{"}};
      node.children.push_back(list({"}"}));
      require(take_word("}"));
      return node;
    }
    if (take_word("if")) {
      return branch();
    }
    if (at_any_word({"while", "until"})) {
      ShellNode node{.kind = Kind::loop, .words = {tokens_[at_++].text}};
      node.children.push_back(list({"do"}));
      node.children.push_back(loop_body());
      return node;
    }
    if (take_word("for")) {
      return for_each();
    }
    if (take_word("case")) {
      return choice();
    }
    return simple();
  }

  ShellNode loop_body() {
    require(take_word("do"));
    ShellNode body = list({"done"});
    require(take_word("done"));
    return body;
  }

  ShellNode branch() {
    ShellNode node{.kind = Kind::branch};
    do {
      node.children.push_back(list({"then"}));
      require(take_word("then"));
      node.children.push_back(list({"elif", "else", "fi"}));
    } while (!broken_ && take_word("elif"));
    if (take_word("else")) {
      node.children.push_back(list({"fi"}));
    }
    require(take_word("fi"));
    return node;
  }

  ShellNode for_each() {
    ShellNode node{.kind = Kind::for_each};
    require(at_ < tokens_.size() && !tokens_[at_].is_operator);
    if (broken_) {
      return node;
    }
    node.words.push_back(tokens_[at_++].text);
    skip_lines();
    if (take_word("in")) {
      while (at_ < tokens_.size() && !tokens_[at_].is_operator) {
        node.words.push_back(tokens_[at_++].text);
      }
    } else {
      node.words.emplace_back("\"$@\"");
    }
    while (take_operator("\n") || take_operator(";")) {
    }
    node.children.push_back(loop_body());
    return node;
  }

  ShellNode choice() {
    ShellNode node{.kind = Kind::choice};
    require(at_ < tokens_.size() && !tokens_[at_].is_operator);
    if (broken_) {
      return node;
    }
    node.words.push_back(tokens_[at_++].text);
    skip_lines();
    require(take_word("in"));
    skip_lines();
    while (!broken_ && !take_word("esac")) {
      take_operator("(");
      std::vector<std::string> patterns;
      do {
        require(at_ < tokens_.size() && !tokens_[at_].is_operator);
        if (!broken_) {
          patterns.push_back(tokens_[at_++].text);
        }
      } while (!broken_ && take_operator("|"));
      require(take_operator(")"));
      node.patterns.push_back(std::move(patterns));
      node.children.push_back(list({"esac"}));
      take_operator(";;");
      skip_lines();
    }
    return node;
  }

  ShellNode simple() {
    ShellNode node{.kind = Kind::simple};
    while (at_ < tokens_.size()) {
      if (at_redirection()) {
        node.redirections.push_back(redirection());
      } else if (!tokens_[at_].is_operator) {
        node.words.push_back(tokens_[at_++].text);
      } else if (at_operator("(") && node.words.size() == 1 && node.redirections.empty()) {
        return function(std::move(node.words.front()));
      } else {
        break;
      }
    }
    return node;
  }

  ShellNode function(std::string name) {
    ++at_;
    require(take_operator(")"));
    skip_lines();
    ShellNode node{.kind = Kind::function, .words = {std::move(name)}};
    if (++nesting_ > max_nesting) {
      broken_ = true;
    }
    if (!broken_) {
      node.children.push_back(command());
    }
    --nesting_;
    return node;
  }

  [[nodiscard]] bool at_redirection() const {
    return at_ < tokens_.size() && tokens_[at_].is_operator &&
           (tokens_[at_].is_document || tokens_[at_].text.find_first_of("<>") != std::string::npos);
  }

  ShellRedirection redirection() {
    const ShellToken& token = tokens_[at_++];
    if (token.is_document) {
      return {token.descriptor, "<<", token.text, token.is_literal};
    }
    ShellRedirection result{.descriptor = token.descriptor, .operation = token.text};
    require(at_ < tokens_.size() && !tokens_[at_].is_operator);
    if (!broken_) {
      result.target = tokens_[at_++].text;
    }
    return result;
  }

  std::vector<ShellToken> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  bool broken_ = false;
};

}  // namespace

bool is_name_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool begins_expansion(std::string_view text, std::size_t at) noexcept {
  return text[at] == '`' ||
         (text[at] == '$' && at + 1 < text.size() && (text[at + 1] == '(' || text[at + 1] == '{'));
}

std::size_t end_of_expansion(std::string_view text, std::size_t at) {
  return ShellSpan(text).end_of_expansion(at);
}

ShellScript parse_shell(std::string_view text) {
  return ShellParser(ShellLexer(text).run()).run();
}

}  // namespace fnimage::source::debian
