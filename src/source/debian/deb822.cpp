// The paragraph parser of deb822.hpp. Thread-safety: pure functions.
#include "debian/deb822.hpp"

#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::source::debian {
namespace {

constexpr std::size_t max_paragraphs = 100'000;

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

bool is_blank(std::string_view line) noexcept {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

bool is_continuation(std::string_view line) noexcept {
  return !line.empty() && (line.front() == ' ' || line.front() == '\t');
}

Result<void> check_lines(std::string_view text, std::string_view file_name) {
  std::size_t number = 0;
  bool in_field = false;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    ++number;
    if (is_blank(line)) {
      in_field = false;
    } else if (line.front() == '#') {
      continue;
    } else if (is_continuation(line)) {
      if (!in_field) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("{}:{}: continuation line without a field", file_name, number));
      }
    } else if (const std::size_t colon = line.find(':');
               colon == std::string_view::npos || colon == 0) {
      return fail(ErrorCode::invalid_input, fmt::format("{}:{}: not a \"Field: value\" line: {}",
                                                        file_name, number, printable(line, 80)));
    } else {
      in_field = true;
    }
  }
  return {};
}

}  // namespace

Paragraph::Paragraph(std::string_view text) : text_(text) {
  const char* value_begin = nullptr;
  const char* comment = nullptr;  // where a comment cut the value short
  std::string_view name;
  const auto close = [&](const char* end) {
    if (value_begin != nullptr) {
      end = comment != nullptr ? comment : end;
      const std::string_view raw(value_begin, static_cast<std::size_t>(end - value_begin));
      fields_.push_back({name, trim(raw)});
    }
  };
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.empty()) {
      continue;
    }
    if (line.front() == '#') {
      comment = comment != nullptr ? comment : line.data();
      continue;
    }
    if (is_continuation(line)) {
      comment = nullptr;  // the value goes on behind the comment
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      continue;
    }
    close(line.data());
    name = line.substr(0, colon);
    comment = nullptr;
    value_begin = line.data() + colon + 1;
  }
  close(text.data() + text.size());
}

std::string_view Paragraph::get(std::string_view name) const noexcept {
  for (const Field& field : fields_) {
    if (equals_ignoring_case(field.name, name)) {
      return field.value;
    }
  }
  return {};
}

bool Paragraph::has(std::string_view name) const noexcept {
  for (const Field& field : fields_) {
    if (equals_ignoring_case(field.name, name)) {
      return true;
    }
  }
  return false;
}

Result<void> for_each_paragraph(std::string_view text, std::string_view file_name,
                                const std::function<Result<void>(const Paragraph&)>& take) {
  FNIMAGE_CHECK(check_lines(text, file_name));
  std::size_t count = 0;
  const char* begin = nullptr;
  std::string_view rest = text;
  const auto close = [&](const char* end) -> Result<void> {
    const char* const first = std::exchange(begin, nullptr);
    if (first == nullptr) {
      return {};
    }
    const Paragraph paragraph(std::string_view(first, static_cast<std::size_t>(end - first)));
    if (paragraph.fields().empty()) {
      return {};
    }
    if (++count > max_paragraphs) {
      return fail(ErrorCode::invalid_input, fmt::format("{}: too many paragraphs", file_name));
    }
    return take(paragraph);
  };
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (is_blank(line)) {
      FNIMAGE_CHECK(close(line.data()));
    } else if (begin == nullptr) {
      begin = line.data();
    }
  }
  return close(text.data() + text.size());
}

Result<std::vector<Paragraph>> parse_paragraphs(std::string_view text, std::string_view file_name) {
  std::vector<Paragraph> paragraphs;
  FNIMAGE_CHECK(
      for_each_paragraph(text, file_name, [&](const Paragraph& paragraph) -> Result<void> {
        paragraphs.push_back(paragraph);
        return {};
      }));
  return paragraphs;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  constexpr std::string_view blanks = " \t\r\n";
  for (std::size_t begin = text.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(blanks, begin), text.size());
    result.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(blanks, end);
  }
  return result;
}

}  // namespace fnimage::source::debian
