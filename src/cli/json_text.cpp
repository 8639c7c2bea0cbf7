#include "json_text.hpp"

#include <fnimage/base/json.hpp>

namespace fnimage::cli {

namespace {

/// Where the JSON string that begins at `start` ends (one behind its closing quote).
std::size_t end_of_string(std::string_view text, std::size_t start) noexcept {
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

class Indenter {
 public:
  explicit Indenter(std::string_view text) : text_(text) {}

  std::string run() && {
    while (at_ < text_.size()) {
      step();
    }
    return std::move(result_);
  }

 private:
  void new_line() {
    result_ += '\n';
    result_.append(2 * depth_, ' ');
  }

  void open(char c) {
    result_ += c;
    const std::size_t next = text_.find_first_not_of(" \t\r\n", at_);
    if (next != std::string_view::npos && (text_[next] == '}' || text_[next] == ']')) {
      result_ += text_[next];
      at_ = next + 1;
      return;
    }
    ++depth_;
    new_line();
  }

  void close(char c) {
    depth_ -= depth_ > 0 ? 1 : 0;
    new_line();
    result_ += c;
  }

  void step() {
    const char c = text_[at_];
    if (c == '"') {
      const std::size_t end = end_of_string(text_, at_);
      result_ += text_.substr(at_, end - at_);
      at_ = end;
      return;
    }
    ++at_;
    switch (c) {
      case '{':
      case '[':
        open(c);
        break;
      case '}':
      case ']':
        close(c);
        break;
      case ',':
        result_ += c;
        new_line();
        break;
      case ':':
        result_ += ": ";
        break;
      case ' ':
      case '\t':
      case '\r':
      case '\n':
        break;
      default:
        result_ += c;
    }
  }

  std::string_view text_;
  std::string result_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

std::string indent_json(std::string_view text) {
  return Indenter(text).run();
}

std::string compact_json(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = text[i] == '"' ? end_of_string(text, i) : i + 1;
    if (std::string_view(" \t\r\n").find(text[i]) == std::string_view::npos) {
      result += text.substr(i, end - i);
    }
    i = end;
  }
  return result;
}

std::string json_lines(const nlohmann::ordered_json& value) {
  return indent_json(to_json_text(value)) + '\n';
}

}  // namespace fnimage::cli
