// Markup that is made of literals of the program and of text from anywhere. Text is always escaped:
// the compiler refuses markup that is no literal, and a place for text where escaping would not be
// enough. Thread-safety: a value type and pure functions.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace fnimage::server {

/// Escapes text for an element's content or for an attribute in double quotes. What would not show,
/// or would change how the rest shows (control characters, marks of direction, bytes that are no
/// UTF-8), becomes "\x1B" or "\u202E".
void append_escaped(std::string& out, std::string_view text);

/// How markup with places for text ("{}") is looked at when the program is compiled.
class MarkupScan {
 public:
  constexpr void take(char c) {
    if (c == '{') {
      ++places_;
      is_safe_ = is_safe_ && (!is_tag_ || is_quoted_);
    } else if (c == '"') {
      is_quoted_ = is_tag_ && !is_quoted_;
    } else if (c == '<' && !is_quoted_) {
      is_safe_ = is_safe_ && !is_tag_;
      is_tag_ = true;
    } else if (c == '>' && !is_quoted_) {
      is_tag_ = false;
    }
  }
  /// Whether all tags are whole, and all places are in content or in quotes.
  [[nodiscard]] constexpr bool is_safe() const { return is_safe_ && !is_tag_; }
  [[nodiscard]] constexpr std::size_t places() const { return places_; }

 private:
  bool is_tag_ = false;
  bool is_quoted_ = false;
  bool is_safe_ = true;
  std::size_t places_ = 0;
};

/// A literal with as many places as there are arguments.
template <class... Arguments>
struct Markup {
  template <std::size_t size>
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is what is written
  consteval Markup(const char (&literal)[size]) : text(literal, size - 1) {
    MarkupScan scan;
    for (const char c : text) {
      scan.take(c);
    }
    if (!scan.is_safe() || scan.places() != sizeof...(Arguments)) {
      throw "a place for text is outside quotes, a tag is not whole, or an argument is missing";
    }
  }
  std::string_view text;
};

class Html {
 public:
  Html() = default;
  /// What the program itself has made of files that are its own (style sheet, script).
  static Html trusted(std::string_view markup) {
    Html html;
    html.text_ = markup;
    return html;
  }

  /// Appends markup; each "{}" becomes an argument: text, escaped; a number; or Html, as it is.
  template <class... Arguments>
  Html& add(Markup<std::type_identity_t<Arguments>...> markup, const Arguments&... arguments) {
    std::string_view rest = markup.text;
    (append_argument(rest, arguments), ...);
    text_ += rest;
    return *this;
  }
  Html& add(const Html& other) {
    text_ += other.text_;
    return *this;
  }

  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] const std::string& str() const& { return text_; }
  [[nodiscard]] std::string str() && { return std::move(text_); }

 private:
  template <class Argument>
  void append_argument(std::string_view& rest, const Argument& argument) {
    const std::size_t place = rest.find('{');
    text_ += rest.substr(0, place);
    rest.remove_prefix(place + 2);
    if constexpr (std::same_as<Argument, Html>) {
      text_ += argument.text_;
    } else if constexpr (std::integral<Argument>) {
      text_ += std::to_string(argument);
    } else {
      append_escaped(text_, argument);
    }
  }
  std::string text_{};
};

/// Html of one add().
template <class... Arguments>
Html html(Markup<std::type_identity_t<Arguments>...> markup, const Arguments&... arguments) {
  Html made;
  made.add(markup, arguments...);
  return made;
}

}  // namespace fnimage::server
