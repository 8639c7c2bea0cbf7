// Paragraphs of "Field: value" lines with continuation lines: deb-control(5), Debian Policy 5.1 and
// deb822(5). Views into the caller's text, nothing is copied, so that a 60 MB Packages file parses
// in one pass. Thread-safety: pure functions.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::source::debian {

struct Field {
  std::string_view name;
  std::string_view
      value;  ///< trimmed at its ends; continuation lines are kept with their line ends
};

/// One paragraph, as views into the text it was parsed from.
class Paragraph {
 public:
  explicit Paragraph(std::string_view text);

  /// The field's value, names compared without case; empty when there is no such field.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  [[nodiscard]] const std::vector<Field>& fields() const noexcept { return fields_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string_view text_;
  std::vector<Field> fields_;
};

/// Parses small files strictly: every line is a field, a continuation or a comment ('#'). Error:
/// invalid_input with file name and line number; more than 100'000 paragraphs are refused.
Result<std::vector<Paragraph>> parse_paragraphs(std::string_view text, std::string_view file_name);

/// The same one by one, so that no more than one paragraph is in memory; ends with the first error
/// of `take`.
Result<void> for_each_paragraph(std::string_view text, std::string_view file_name,
                                const std::function<Result<void>(const Paragraph&)>& take);

/// Words separated by white space, including line ends.
std::vector<std::string_view> words(std::string_view text);

}  // namespace fnimage::source::debian
