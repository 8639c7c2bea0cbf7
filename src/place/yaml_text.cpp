// Words that look like numbers, truth or nothing are quoted, in the manner of JSON: YAML's double
// quotes know all of its escapes.
#include "yaml_text.hpp"

#include <algorithm>
#include <array>

#include <fnimage/base/text.hpp>

namespace fnimage::place {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t indent_width = 2;

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_plain(const std::string& text) {
  constexpr std::array<std::string_view, 12> words{"true", "false", "yes", "no",   "on",  "off",
                                                   "null", "y",     "n",   "void", "nan", "inf"};
  const bool starts_well = !text.empty() && is_letter(text.front());
  const bool is_safe = std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '/' || c == '-';
  });
  return starts_well && is_safe && text.back() != '.' &&
         std::none_of(words.begin(), words.end(),
                      [&](std::string_view word) { return equals_ignoring_case(word, text); });
}

std::string scalar(const Json& value) {
  if (value.is_string() && is_plain(value.get_ref<const std::string&>())) {
    return value.get<std::string>();
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write(std::string& text, const Json& value, std::size_t depth);

/// What follows "key:" or "-".
void write_value(std::string& text, const Json& value, std::size_t depth, bool after_dash) {
  if (value.is_structured() && !value.empty()) {
    if (after_dash) {
      // The first line of the value stands behind the dash.
      std::string inner;
      write(inner, value, depth);
      text += " " + inner.substr(depth * indent_width);
      return;
    }
    text += "\n";
    // Lists stand as far in as their key.
    write(text, value, value.is_array() ? depth - 1 : depth);
    return;
  }
  text += " " + scalar(value) + "\n";
}

void write(std::string& text, const Json& value, std::size_t depth) {
  const std::string indent(depth * indent_width, ' ');
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, member] : value.items()) {
      text += indent + scalar(Json(key)) + ":";
      write_value(text, member, depth + 1, false);
    }
  } else if (value.is_array() && !value.empty()) {
    for (const Json& member : value) {
      text += indent + "-";
      write_value(text, member, depth + 1, true);
    }
  } else {
    text += indent + scalar(value) + "\n";
  }
}

}  // namespace

std::string to_yaml(const Json& value) {
  std::string text;
  write(text, value, 0);
  return text;
}

}  // namespace fnimage::place
