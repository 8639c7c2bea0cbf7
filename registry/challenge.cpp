// See challenge.hpp. Grammar: challenge = scheme [ 1*SP #auth-param ]; a new scheme is told from a
// parameter by what follows the token: "=" makes it a parameter.
#include "challenge.hpp"

#include <fnimage/base/text.hpp>

namespace fnimage::registry {

namespace {

constexpr std::size_t max_challenges = 16;
constexpr std::size_t max_parameters = 32;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return text_.empty(); }
  void skip_blanks() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\t')) {
      text_.remove_prefix(1);
    }
  }
  /// Blanks and commas, of which lists may have superfluous ones.
  void skip_separators() {
    for (skip_blanks(); !text_.empty() && text_.front() == ','; skip_blanks()) {
      text_.remove_prefix(1);
    }
  }
  bool take(char wanted) {
    if (text_.empty() || text_.front() != wanted) {
      return false;
    }
    text_.remove_prefix(1);
    return true;
  }
  std::string_view token() {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    std::size_t length = 0;
    while (length < text_.size()) {
      const char c = text_[length];
      const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (!alnum && marks.find(c) == std::string_view::npos) {
        break;
      }
      ++length;
    }
    const std::string_view result = text_.substr(0, length);
    text_.remove_prefix(length);
    return result;
  }
  std::optional<std::string> quoted() {
    std::string result;
    while (!text_.empty()) {
      char c = text_.front();
      text_.remove_prefix(1);
      if (c == '"') {
        return result;
      }
      if (c == '\\') {
        if (text_.empty()) {
          return std::nullopt;
        }
        c = text_.front();
        text_.remove_prefix(1);
      }
      result += c;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::string_view rest() const { return text_; }
  void rewind(std::string_view rest) { text_ = rest; }

 private:
  std::string_view text_;
};

/// One `name = value`; nullopt, with the scanner where it was, when there is none.
std::optional<std::pair<std::string, std::string>> take_parameter(Scanner& scanner) {
  const std::string_view before = scanner.rest();
  const std::string name = to_lower(scanner.token());
  scanner.skip_blanks();
  if (!name.empty() && scanner.take('=')) {
    scanner.skip_blanks();
    if (scanner.take('"')) {
      if (auto value = scanner.quoted()) {
        return std::pair(name, std::move(*value));
      }
    } else if (const std::string_view value = scanner.token(); !value.empty()) {
      return std::pair(name, std::string(value));
    }
  }
  scanner.rewind(before);
  return std::nullopt;
}

}  // namespace

std::string Challenge::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) {
      return value;
    }
  }
  return {};
}

std::vector<Challenge> parse_challenges(std::string_view value) {
  std::vector<Challenge> challenges;
  Scanner scanner(value);
  for (scanner.skip_separators(); !scanner.at_end() && challenges.size() < max_challenges;
       scanner.skip_separators()) {
    Challenge challenge{.scheme = to_lower(scanner.token())};
    if (challenge.scheme.empty()) {
      break;
    }
    scanner.skip_separators();
    while (challenge.parameters.size() < max_parameters) {
      auto parameter = take_parameter(scanner);
      if (!parameter) {
        break;
      }
      challenge.parameters.push_back(std::move(*parameter));
      scanner.skip_separators();
    }
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

}  // namespace fnimage::registry
