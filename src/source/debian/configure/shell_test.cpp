// See the header.
#include "debian/configure/shell_test.hpp"

#include <charconv>
#include <string_view>

namespace fnimage::source::debian {
namespace {

constexpr std::string_view file_tests = "bcdefghkLprsSuwxOGN";

std::optional<long> number_in(const ShellWord& word) {
  long number = 0;
  const auto* end = word.text.data() + word.text.size();
  const auto parsed = std::from_chars(word.text.data(), end, number);
  return word.exact && parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(number)
                                                                     : std::nullopt;
}

std::optional<bool> compare_numbers(const ShellWord& a, std::string_view operation,
                                    const ShellWord& b) {
  const auto left = number_in(a);
  const auto right = number_in(b);
  if (!left || !right) {
    return std::nullopt;
  }
  if (operation == "-eq" || operation == "-ne") {
    return (*left == *right) == (operation == "-eq");
  }
  if (operation == "-lt" || operation == "-ge") {
    return (*left < *right) == (operation == "-lt");
  }
  if (operation == "-gt" || operation == "-le") {
    return (*left > *right) == (operation == "-gt");
  }
  return std::nullopt;
}

/// POSIX decides by the number of words; with more than four it is a grammar.
class TestEvaluator {
 public:
  TestEvaluator(std::span<const ShellWord> words, const FileTest& test_file)
      : words_(words), test_file_(test_file) {}

  std::optional<bool> run() {
    if (words_.empty()) {
      return false;
    }
    const std::optional<bool> result = any();
    return at_ == words_.size() ? result : std::nullopt;
  }

 private:
  [[nodiscard]] bool at_text(std::string_view text) const {
    return at_ < words_.size() && words_[at_].exact && words_[at_].text == text;
  }

  std::optional<bool> any() {
    std::optional<bool> result = all();
    while (at_text("-o")) {
      ++at_;
      const std::optional<bool> other = all();
      if (result == true || other == true) {
        result = true;
      } else if (!result || !other) {
        result = std::nullopt;
      }
    }
    return result;
  }

  std::optional<bool> all() {
    std::optional<bool> result = negated();
    while (at_text("-a")) {
      ++at_;
      const std::optional<bool> other = negated();
      if (result == false || other == false) {
        result = false;
      } else if (!result || !other) {
        result = std::nullopt;
      }
    }
    return result;
  }

  std::optional<bool> negated() {
    bool negative = false;
    while (at_text("!") && at_ + 1 < words_.size()) {
      negative = !negative;
      ++at_;
    }
    const std::optional<bool> result = primary();
    return result ? std::optional(*result != negative) : std::nullopt;
  }

  [[nodiscard]] bool binary_follows() const {
    if (at_ + 2 >= words_.size()) {
      return false;
    }
    const std::string& operation = words_[at_ + 1].text;
    for (const std::string_view known : {"=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge",
                                         "-nt", "-ot", "-ef", "<", ">"}) {
      if (operation == known) {
        return true;
      }
    }
    return false;
  }

  std::optional<bool> primary() {
    if (at_ >= words_.size()) {
      return std::nullopt;
    }
    if (binary_follows()) {
      at_ += 3;
      return binary(words_[at_ - 3], words_[at_ - 2].text, words_[at_ - 1]);
    }
    const ShellWord& first = words_[at_];
    if (first.text == "(") {
      return nullopt_after_rest();
    }
    const bool is_unary =
        first.exact && first.text.size() == 2 && first.text[0] == '-' && at_ + 1 < words_.size();
    if (is_unary) {
      at_ += 2;
      return unary(first.text[1], words_[at_ - 1]);
    }
    ++at_;
    return first.exact ? std::optional(!first.text.empty()) : std::nullopt;
  }

  std::optional<bool> nullopt_after_rest() {
    at_ = words_.size();
    return std::nullopt;
  }

  static std::optional<bool> binary(const ShellWord& a, std::string_view operation,
                                    const ShellWord& b) {
    if (operation == "=" || operation == "==" || operation == "!=") {
      return a.exact && b.exact ? std::optional((a.text == b.text) != (operation == "!="))
                                : std::nullopt;
    }
    return compare_numbers(a, operation, b);
  }

  std::optional<bool> unary(char kind, const ShellWord& word) {
    if (!word.exact) {
      return std::nullopt;
    }
    if (kind == 'n' || kind == 'z') {
      return word.text.empty() == (kind == 'z');
    }
    if (file_tests.find(kind) == std::string_view::npos) {
      return std::nullopt;
    }
    // The empty path is none; "[ -x `which x` ]" relies on it.
    return word.text.empty() ? std::optional(false)
                             : test_file_(kind == 'h' ? 'L' : kind, word.text);
  }

  std::span<const ShellWord> words_;
  const FileTest& test_file_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<bool> evaluate_test(std::span<const ShellWord> words, const FileTest& test_file) {
  return TestEvaluator(words, test_file).run();
}

}  // namespace fnimage::source::debian
