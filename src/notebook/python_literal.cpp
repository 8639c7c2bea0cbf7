// A recursive descent over literals, see the header.
#include "python_literal.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string>

#include <fnimage/base/text.hpp>
#include <fnimage/notebook/python_lines.hpp>

namespace fnimage::notebook {

namespace {

using Json = nlohmann::ordered_json;
using MaybeJson = std::optional<Json>;

constexpr int max_nesting = 32;

bool take(std::string_view& text, std::string_view what) noexcept {
  const bool there = text.starts_with(what);
  text.remove_prefix(there ? what.size() : 0);
  return there;
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80U) {
    byte(code);
  } else if (code < 0x800U) {
    byte(0xC0U | (code >> 6U));
    byte(0x80U | (code & 0x3FU));
  } else if (code < 0x10000U) {
    byte(0xE0U | (code >> 12U));
    byte(0x80U | ((code >> 6U) & 0x3FU));
    byte(0x80U | (code & 0x3FU));
  } else {
    byte(0xF0U | (code >> 18U));
    byte(0x80U | ((code >> 12U) & 0x3FU));
    byte(0x80U | ((code >> 6U) & 0x3FU));
    byte(0x80U | (code & 0x3FU));
  }
}

/// So many digits of a base from the front.
std::optional<std::uint32_t> take_code(std::string_view& text, std::size_t min, std::size_t max,
                                       int base) {
  std::uint32_t code = 0;
  const char* const last = text.data() + std::min(max, text.size());
  const auto [end, error] = std::from_chars(text.data(), last, code, base);
  const auto used = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || used < min) {
    return std::nullopt;
  }
  text.remove_prefix(used);
  const bool is_character = code <= 0x10FFFFU && (code < 0xD800U || code > 0xDFFFU);
  return is_character ? std::optional(code) : std::nullopt;
}

/// What follows a backslash. False: it has no value here.
bool take_escape(std::string_view& text, std::string& out) {
  constexpr std::string_view letters = "abfnrtv\\'\"";
  constexpr std::string_view values = "\a\b\f\n\r\t\v\\'\"";
  const char c = text.empty() ? '\0' : text.front();
  if (const std::size_t known = letters.find(c); c != '\0' && known != std::string_view::npos) {
    text.remove_prefix(1);
    out += values[known];
    return true;
  }
  if (c == '\n') {
    text.remove_prefix(1);
    return true;
  }
  std::optional<std::uint32_t> code;
  if (c >= '0' && c <= '7') {
    code = take_code(text, 1, 3, 8);
  } else if (c == 'x' || c == 'u' || c == 'U') {
    text.remove_prefix(1);
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    code = take_code(text, digits, digits, 16);
  } else if (c == 'N') {
    return false;  // by the character's name
  } else {
    out += '\\';  // Python keeps what it does not know
    return true;
  }
  if (code) {
    append_utf8(*code, out);
  }
  return code.has_value();
}

class LiteralReader {
 public:
  explicit LiteralReader(std::string_view& text) : text_(text) {}

  /// Also "1, 2" without parentheses.
  MaybeJson read_all() {
    MaybeJson first = value(0);
    skip_blanks(text_);
    if (!first || !text_.starts_with(',')) {
      return first;
    }
    Json items = Json::array({std::move(*first)});
    while (take(text_, ",")) {
      skip_blanks(text_);
      if (text_.empty() || text_.starts_with(';')) {
        break;
      }
      MaybeJson item = value(0);
      if (!item) {
        return std::nullopt;
      }
      items.push_back(std::move(*item));
      skip_blanks(text_);
    }
    return items;
  }

 private:
  MaybeJson value(int depth) {
    skip_blanks(text_);
    if (depth > max_nesting || text_.empty()) {
      return std::nullopt;
    }
    const char c = text_.front();
    if (take(text_, "[")) {
      return items(']', depth);
    }
    if (take(text_, "(")) {
      return items(')', depth);
    }
    if (take(text_, "{")) {
      return members(depth);
    }
    if (c == '-' || c == '+' || c == '.' || std::isdigit(static_cast<unsigned char>(c)) != 0) {
      return number();
    }
    return word_or_text();
  }

  /// Up to the closing bracket. One value in parentheses is that value.
  MaybeJson items(char close, int depth) {
    Json list = Json::array();
    bool comma = false;
    while (true) {
      skip_blanks(text_);
      if (take(text_, std::string_view(&close, 1))) {
        const bool is_value = close == ')' && list.size() == 1 && !comma;
        return is_value ? std::move(list.front()) : std::move(list);
      }
      if (!list.empty() && !comma) {
        return std::nullopt;
      }
      MaybeJson item = value(depth + 1);
      if (!item) {
        return std::nullopt;
      }
      list.push_back(std::move(*item));
      skip_blanks(text_);
      comma = take(text_, ",");
    }
  }

  MaybeJson members(int depth) {
    Json object = Json::object();
    bool comma = true;
    while (true) {
      skip_blanks(text_);
      if (take(text_, "}")) {
        return object;
      }
      const MaybeJson key = comma ? value(depth + 1) : std::nullopt;
      skip_blanks(text_);
      if (!key || key->is_structured() || !take(text_, ":")) {
        return std::nullopt;
      }
      MaybeJson member = value(depth + 1);
      if (!member) {
        return std::nullopt;
      }
      object[key->is_string() ? key->get<std::string>() : key->dump()] = std::move(*member);
      skip_blanks(text_);
      comma = take(text_, ",");
    }
  }

  MaybeJson number() {
    const bool negative = text_.front() == '-';
    if (!take(text_, "-")) {
      take(text_, "+");
    }
    skip_blanks(text_);
    std::string digits;
    for (char last = '\0'; !text_.empty() && belongs_to_number(text_.front(), last);) {
      last = text_.front();
      if (last != '_') {
        digits += last;
      }
      text_.remove_prefix(1);
    }
    MaybeJson value = number_of(to_lower(digits));
    if (!value || !negative) {
      return value;
    }
    return value->is_number_float()           ? Json(-value->get<double>())
           : value->get<std::uint64_t>() == 0 ? Json(0)
           : value->get<std::uint64_t>() <= max_negated
               ? Json(-static_cast<std::int64_t>(value->get<std::uint64_t>() - 1) - 1)
               : Json(-static_cast<double>(value->get<std::uint64_t>()));
  }

  static bool belongs_to_number(char c, char last) {
    return is_name_character(c) || c == '.' ||
           ((c == '-' || c == '+') && (last == 'e' || last == 'E'));
  }

  static MaybeJson number_of(const std::string& digits) {
    if (digits.empty()) {
      return std::nullopt;
    }
    const bool based =
        digits.starts_with("0x") || digits.starts_with("0o") || digits.starts_with("0b");
    const int base = !based ? 10 : digits[1] == 'x' ? 16 : digits[1] == 'o' ? 8 : 2;
    const char* const first = digits.data() + (based ? 2 : 0);
    const char* const last = digits.data() + digits.size();
    std::uint64_t whole = 0;
    const auto [end, error] = std::from_chars(first, last, whole, base);
    if (error == std::errc{} && end == last) {
      return Json(whole);
    }
    double real = 0;
    const auto [real_end, real_error] = std::from_chars(first, last, real);
    const bool is_real =
        !based && real_error == std::errc{} && real_end == last && std::isfinite(real);
    return is_real ? MaybeJson(Json(real)) : std::nullopt;
  }

  MaybeJson word_or_text() {
    const auto word_end = std::find_if_not(text_.begin(), text_.end(), is_name_character);
    const std::string_view word =
        text_.substr(0, static_cast<std::size_t>(word_end - text_.begin()));
    const std::string_view behind = text_.substr(word.size());
    if (behind.starts_with('"') || behind.starts_with('\'')) {
      return strings();
    }
    text_ = behind;
    if (word == "None") {
      return Json(nullptr);
    }
    return word == "True" || word == "False" ? MaybeJson(Json(word == "True")) : std::nullopt;
  }

  /// String literals one after another are one string.
  MaybeJson strings() {
    std::string all;
    while (true) {
      const std::size_t quote = text_.find_first_of("\"'");
      const std::string prefix = to_lower(text_.substr(0, std::min(quote, text_.size())));
      const bool is_text = prefix.empty() || prefix == "r" || prefix == "u";
      text_.remove_prefix(std::min(quote, text_.size()));
      if (!is_text || !string(prefix == "r", all)) {
        return std::nullopt;
      }
      skip_blanks(text_);
      if (!begins_string()) {
        return Json(std::move(all));
      }
    }
  }

  bool begins_string() const {
    constexpr std::size_t longest_prefix = 2;
    const auto end = std::find_if_not(text_.begin(), text_.end(), is_name_character);
    const auto size = static_cast<std::size_t>(end - text_.begin());
    return size <= longest_prefix && size < text_.size() &&
           (text_[size] == '"' || text_[size] == '\'');
  }

  bool string(bool raw, std::string& out) {
    const std::string quote = text_.substr(0, 3) == std::string(3, text_.front())
                                  ? std::string(3, text_.front())
                                  : std::string(1, text_.front());
    take(text_, quote);
    while (!take(text_, quote)) {
      if (text_.empty() || (quote.size() == 1 && text_.front() == '\n')) {
        return false;
      }
      const char c = text_.front();
      text_.remove_prefix(1);
      if (c != '\\') {
        out += c;
      } else if (raw && !text_.empty()) {
        out += c;
        out += text_.front();
        text_.remove_prefix(1);
      } else if (!take_escape(text_, out)) {
        return false;
      }
    }
    return true;
  }

  static constexpr std::uint64_t max_negated = std::uint64_t{1} << 63U;
  std::string_view& text_;
};

}  // namespace

void skip_blanks(std::string_view& text) noexcept {
  while (!text.empty()) {
    const char c = text.front();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
      text.remove_prefix(1);
    } else if (text.starts_with("\\\n")) {
      text.remove_prefix(2);
    } else if (c == '#') {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else {
      return;
    }
  }
}

std::optional<nlohmann::ordered_json> read_literal(std::string_view& text) {
  return LiteralReader(text).read_all();
}

}  // namespace fnimage::notebook
