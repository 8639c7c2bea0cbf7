// Reading logical lines, see the header.
#include <algorithm>
#include <cctype>
#include <utility>

#include <fnimage/base/text.hpp>
#include <fnimage/notebook/python_lines.hpp>

namespace fnimage::notebook {

namespace {

class LineReader {
 public:
  explicit LineReader(std::string_view source) : source_(source) {}

  std::vector<LogicalLine> read() {
    while (at_ < source_.size()) {
      begin_line();
      const std::size_t begin = at_;
      line_.number = number_;
      read_line();
      number_ += static_cast<std::size_t>(
          std::count(source_.begin() + static_cast<std::ptrdiff_t>(counted_),
                     source_.begin() + static_cast<std::ptrdiff_t>(at_), '\n'));
      counted_ = at_;
      if (const std::string_view text = trim(line_.text); !text.empty()) {
        line_.text = std::string(text);
        line_.raw = trim(source_.substr(begin, at_ - begin));
        lines_.push_back(std::move(line_));
      }
    }
    return std::move(lines_);
  }

 private:
  void begin_line() {
    constexpr std::size_t tab = 8;
    line_ = {};
    for (; at_ < source_.size(); ++at_) {
      if (source_[at_] == ' ') {
        ++line_.indent;
      } else if (source_[at_] == '\t') {
        line_.indent += tab - line_.indent % tab;
      } else if (source_[at_] != '\f' && source_[at_] != '\r') {
        return;
      }
    }
  }

  void read_line() {
    std::size_t depth = 0;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '#') {
        read_comment();
      } else if (c == '"' || c == '\'') {
        skip_string();
      } else if (c == '\\' && at_ + 1 < source_.size() && source_[at_ + 1] == '\n') {
        line_.text += ' ';
        at_ += 2;
      } else if (c == '\n' && depth == 0) {
        ++at_;
        return;
      } else {
        depth += c == '(' || c == '[' || c == '{' ? 1U : 0U;
        depth -= depth > 0 && (c == ')' || c == ']' || c == '}') ? 1U : 0U;
        line_.text += c == '\n' || c == '\r' ? ' ' : c;
        ++at_;
      }
    }
  }

  void read_comment() {
    const std::size_t end = std::min(source_.find('\n', at_), source_.size());
    line_.note = trim(source_.substr(at_ + 1, end - at_ - 1));
    at_ = end;
  }

  void skip_string() {
    at_ += string_size(source_.substr(at_));
    line_.text += "\"\"";
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::size_t number_ = 1;
  std::size_t counted_ = 0;  ///< how far newlines have been counted
  LogicalLine line_;
  std::vector<LogicalLine> lines_;
};

}  // namespace

std::vector<LogicalLine> logical_lines(std::string_view source) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (source.starts_with(byte_order_mark)) {
    source.remove_prefix(byte_order_mark.size());
  }
  return LineReader(source).read();
}

std::size_t string_size(std::string_view text) {
  const std::string triple(3, text.front());
  const bool is_long = text.starts_with(triple);
  const std::string_view quote = std::string_view(triple).substr(0, is_long ? 3 : 1);
  std::size_t at = quote.size();
  while (at < text.size()) {
    // Prefixes need no care: a backslash keeps a quote from ending raw strings, too.
    if (text[at] == '\\') {
      at += 2;
    } else if (text.substr(at).starts_with(quote)) {
      return at + quote.size();
    } else if (!is_long && text[at] == '\n') {
      return at;  // not Python
    } else {
      ++at;
    }
  }
  return text.size();
}

bool is_name_character(char c) noexcept {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80U;
}

}  // namespace fnimage::notebook
