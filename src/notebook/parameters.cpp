// See the header.
#include "parameters.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/notebook/python_lines.hpp>

#include "python_literal.hpp"

namespace fnimage::notebook {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 35> keywords{
    "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
    "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
    "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
    "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};

/// What begins a block: statements behind its colon are in the block.
constexpr std::array<std::string_view, 12> block_words{"async", "class",  "def",     "elif",
                                                       "else",  "except", "finally", "for",
                                                       "if",    "try",    "while",   "with"};

template <std::size_t Size>
bool is_one_of(std::string_view word, const std::array<std::string_view, Size>& words) {
  return std::ranges::find(words, word) != words.end();
}

std::string_view take_name(std::string_view& text) {
  const auto* const end = std::find_if_not(text.begin(), text.end(), is_name_character);
  const std::string_view name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(name.size());
  return name;
}

/// Takes an expression from the front: up to what assigns (a "=" that is not a part of something
/// else), to the statement's end, or to the line's.
std::string_view take_expression(std::string_view& text) {
  constexpr std::string_view before_equals = "!<>:=";
  const std::string_view whole = text;
  int depth = 0;
  bool in_lambda = false;  // which has defaults of its own
  char last = '\0';
  while (!text.empty()) {
    const char c = text.front();
    const bool is_sign = c == '=' && depth == 0 && !in_lambda && !text.starts_with("==") &&
                         before_equals.find(last) == std::string_view::npos;
    if (is_sign || (c == ';' && depth == 0)) {
      break;
    }
    last = c;
    if (c == '"' || c == '\'') {
      text.remove_prefix(string_size(text));
    } else if (c == '#') {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else if (is_name_character(c)) {
      in_lambda = take_name(text) == "lambda" || in_lambda;
    } else {
      depth += c == '(' || c == '[' || c == '{' ? 1 : 0;
      depth -= c == ')' || c == ']' || c == '}' ? 1 : 0;
      text.remove_prefix(1);
    }
  }
  return trim(whole.substr(0, whole.size() - text.size()));
}

std::string type_of_annotation(std::string_view annotation) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> types{
      {{"bool", "boolean"},
       {"int", "integer"},
       {"float", "number"},
       {"str", "string"},
       {"list", "array"},
       {"List", "array"},
       {"dict", "object"},
       {"Dict", "object"}}};
  constexpr std::string_view module = "typing.";
  const bool of_module = annotation.starts_with(std::string(module) + "List") ||
                         annotation.starts_with(std::string(module) + "Dict");
  annotation.remove_prefix(of_module ? module.size() : 0);
  const std::size_t bracket = std::min(annotation.find('['), annotation.size());
  const std::string_view name = trim(annotation.substr(0, bracket));
  const auto* const found =
      std::ranges::find(types, name, [](const auto& one) { return one.first; });
  const bool takes_items =
      found != types.end() && (found->second == "array" || found->second == "object");
  const bool fits = bracket == annotation.size() || (takes_items && annotation.ends_with(']'));
  return found != types.end() && fits ? std::string(found->second) : std::string();
}

std::string type_of_value(const Json& value) {
  switch (value.type()) {
    case Json::value_t::boolean:
      return "boolean";
    case Json::value_t::string:
      return "string";
    case Json::value_t::array:
      return "array";
    case Json::value_t::object:
      return "object";
    case Json::value_t::null:
      return {};
    default:
      return "number";
  }
}

Json schema_of(std::string_view annotation, const std::optional<Json>& value,
               std::string_view note) {
  std::string type = annotation.empty() ? std::string() : type_of_annotation(annotation);
  if (annotation.empty() && value) {
    type = type_of_value(*value);
  }
  Json schema = Json::object();
  if (!type.empty()) {
    const bool may_be_null = value && value->is_null();
    schema["type"] = may_be_null ? Json::array({type, "null"}) : Json(type);
  }
  if (value) {
    schema["default"] = *value;
  }
  if (!note.empty()) {
    schema["description"] = std::string(note);
  }
  return schema;
}

/// The literal that an expression is, as a whole.
std::optional<Json> literal_of(std::string_view expression) {
  std::optional<Json> value = read_literal(expression);
  return expression.empty() ? std::move(value) : std::nullopt;
}

/// Takes a statement from the front and adds the parameter that it declares.
void take_statement(std::string_view& text, std::string_view note, Json& properties) {
  const std::string_view name = take_name(text);
  skip_blanks(text);
  std::string_view annotation;
  bool declares = !name.empty() && !name.starts_with('_') && !is_one_of(name, keywords) &&
                  std::isdigit(static_cast<unsigned char>(name.front())) == 0;
  if (declares && text.starts_with(':') && !text.starts_with(":=")) {
    text.remove_prefix(1);
    annotation = take_expression(text);
    declares = !annotation.empty();
  }
  declares = declares && text.starts_with('=');
  if (declares) {
    text.remove_prefix(1);
    skip_blanks(text);
  }
  const std::string_view expression = take_expression(text);
  // A second "=": several names for one value.
  if (declares && !expression.empty() && !text.starts_with('=')) {
    properties[std::string(name)] = schema_of(annotation, literal_of(expression), note);
  }
  while (text.starts_with('=')) {
    text.remove_prefix(1);
    take_expression(text);
  }
}

}  // namespace

Json parameter_schema(std::string_view cell) {
  Json properties = Json::object();
  for (const LogicalLine& line : logical_lines(cell)) {
    std::string_view rest = line.raw;
    std::string_view first = rest;
    if (line.indent > 0 || is_one_of(take_name(first), block_words)) {
      continue;
    }
    while (!rest.empty()) {
      skip_blanks(rest);
      take_statement(rest, line.note, properties);
      rest.remove_prefix(rest.starts_with(';') ? 1 : 0);
    }
  }
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"type", "object"},
          {"properties", std::move(properties)},
          {"additionalProperties", false}};
}

}  // namespace fnimage::notebook
