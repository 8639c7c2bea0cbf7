// Reading and stripping, see the header.
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/notebook/notebook.hpp>
#include <fnimage/notebook/python_lines.hpp>

#include "parameters.hpp"

namespace fnimage::notebook {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view parameters_tag = "parameters";

/// A member that is an object; an empty one where there is none.
const nlohmann::json& object_in(const nlohmann::json& value, const char* key) {
  static const nlohmann::json none = nlohmann::json::object();
  const auto found = value.find(key);
  return found != value.end() && found->is_object() ? *found : none;
}

std::string text_in(const nlohmann::json& value, const char* key) {
  const auto found = value.find(key);
  return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// A "multiline string": one, or its lines in a list.
Result<std::string> joined_text(const nlohmann::json& value, std::string_view what) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  std::string text;
  for (const nlohmann::json& line : value) {
    if (!value.is_array() || !line.is_string()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is no notebook: the source of a cell is no text", what));
    }
    text += line.get_ref<const std::string&>();
  }
  return text;
}

/// As Jupyter saves it: the lines with their ends.
Json lines_of(std::string_view text) {
  Json lines = Json::array();
  while (!text.empty()) {
    const std::size_t size = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(std::string(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return lines;
}

struct Cell {
  std::string type;
  std::string source;
  std::vector<std::string> tags{};
  std::string id{};
  /// Of a text: pictures in it. Belongs to the document.
  const nlohmann::json* attachments = nullptr;
};

bool has_tag(const Cell& cell, std::string_view tag) {
  return std::ranges::find(cell.tags, tag) != cell.tags.end();
}

Result<Cell> read_cell(const nlohmann::json& value, std::string_view what) {
  Cell cell{.type = value.is_object() ? text_in(value, "cell_type") : std::string(), .source = {}};
  if (cell.type.empty()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is no notebook: one of its cells has no type", what));
  }
  // Version 3 calls the source of code "input", and has headings as cells of their own.
  const char* const key = cell.type == "code" && value.contains("input") ? "input" : "source";
  if (value.contains(key)) {
    FNIMAGE_TRY(cell.source, joined_text(value.at(key), what));
  }
  if (cell.type == "heading") {
    const auto level = value.find("level");
    const bool known = level != value.end() && level->is_number_unsigned();
    constexpr std::size_t deepest = 6;
    const std::size_t marks = known ? std::min<std::size_t>(level->get<std::size_t>(), deepest) : 1;
    cell.source = std::string(std::max<std::size_t>(marks, 1), '#') + " " + cell.source;
  }
  if (cell.type != "code" && cell.type != "raw") {
    cell.type = "markdown";
  }
  for (const nlohmann::json& tag : object_in(value, "metadata").value("tags", nlohmann::json())) {
    if (tag.is_string()) {
      cell.tags.push_back(tag.get<std::string>());
    }
  }
  cell.id = text_in(value, "id");
  cell.attachments = &object_in(value, "attachments");
  return cell;
}

Result<std::vector<Cell>> read_cells(const nlohmann::json& document, std::string_view what) {
  const nlohmann::json* holder = &document;
  if (const auto sheets = document.find("worksheets"); sheets != document.end()) {
    holder = sheets->is_array() && sheets->size() == 1 ? &sheets->front() : &document;
  }
  const auto list = holder->is_object() ? holder->find("cells") : holder->end();
  if (!holder->is_object() || list == holder->end() || !list->is_array()) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is no notebook: it has no cells", what),
                "save it with Jupyter, as .ipynb of version 3 or 4");
  }
  std::vector<Cell> cells;
  for (const nlohmann::json& value : *list) {
    FNIMAGE_TRY(cells.emplace_back(), read_cell(value, what));
  }
  return cells;
}

Json stripped_cell(const Cell& cell) {
  Json metadata = Json::object();
  if (!cell.tags.empty()) {
    metadata["tags"] = cell.tags;
  }
  Json value = {{"cell_type", cell.type}, {"metadata", std::move(metadata)}};
  if (!cell.id.empty()) {
    value["id"] = cell.id;
  }
  if (cell.type == "code") {
    value["execution_count"] = nullptr;
    value["outputs"] = Json::array();
  } else if (!cell.attachments->empty()) {
    value["attachments"] = Json(*cell.attachments);
  }
  value["source"] = lines_of(cell.source);
  return value;
}

/// Only what says how to run it: the rest is about the program and the machine that saved it.
Json stripped_metadata(const nlohmann::json& metadata) {
  Json kept = Json::object();
  const nlohmann::json& kernel = object_in(metadata, "kernelspec");
  for (const char* key : {"display_name", "language", "name"}) {
    if (const std::string text = text_in(kernel, key); !text.empty()) {
      kept["kernelspec"][key] = text;
    }
  }
  if (const std::string name = text_in(object_in(metadata, "language_info"), "name");
      !name.empty()) {
    kept["language_info"]["name"] = name;
  }
  return kept;
}

std::string stripped_text(const nlohmann::json& document, const std::vector<Cell>& cells) {
  // Since 4.5 cells have ids.
  const bool ids = std::ranges::any_of(cells, [](const Cell& cell) { return !cell.id.empty(); });
  Json list = Json::array();
  for (const Cell& cell : cells) {
    list.push_back(stripped_cell(cell));
  }
  const Json notebook = {{"cells", std::move(list)},
                         {"metadata", stripped_metadata(object_in(document, "metadata"))},
                         {"nbformat", 4},
                         {"nbformat_minor", ids ? 5 : 4}};
  return notebook.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// A cell that begins with "%%" is the argument of what stands there, and seldom Python.
std::string_view cell_magic(std::string_view source) {
  const std::string_view text = trim(source);
  if (!text.starts_with("%%")) {
    return {};
  }
  return trim(text.substr(2, std::min(text.find_first_of(" \t\r\n", 2), text.size()) - 2));
}

bool leaves_python(std::string_view magic) {
  constexpr std::array<std::string_view, 4> known{"time", "timeit", "capture", "prun"};
  return std::ranges::find(known, magic) != known.end();
}

/// Whether only IPython understands a line of code.
bool is_ipython(const LogicalLine& line) {
  const std::string_view text = line.text;
  if (text.starts_with('%') || text.find('?') != std::string_view::npos) {
    return true;
  }
  for (std::size_t at = text.find('!'); at != std::string_view::npos; at = text.find('!', at + 1)) {
    if (!text.substr(at).starts_with("!=")) {
      return true;
    }
  }
  const std::size_t assigned = text.find('=');
  return assigned != std::string_view::npos && trim(text.substr(assigned + 1)).starts_with('%');
}

class CodeReader {
 public:
  explicit CodeReader(Notebook& notebook) : notebook_(notebook) {}

  void read(const Cell& cell, std::size_t number) {
    const std::string_view magic = cell_magic(cell.source);
    if (!magic.empty() && !leaves_python(magic)) {
      note({.cell = number, .number = 1, .text = fmt::format("%%{}", magic)});
      return;
    }
    std::string code = cell.source;
    for (const LogicalLine& line : logical_lines(cell.source)) {
      if (!is_ipython(line)) {
        continue;
      }
      const auto at = static_cast<std::size_t>(line.raw.data() - cell.source.data());
      code.replace(at, line.raw.size(), std::string(line.raw.size(), ' '));
      if (!line.text.starts_with("%matplotlib")) {
        note({.cell = number, .number = line.number, .text = std::string(line.raw)});
      }
    }
    notebook_.code += code + "\n";
  }

 private:
  void note(IpythonLine line) {
    if (!notebook_.ipython) {
      notebook_.ipython = std::move(line);
    }
  }

  Notebook& notebook_;
};

}  // namespace

Result<Notebook> read_notebook(std::string_view text, std::string_view what) {
  FNIMAGE_TRY(const nlohmann::json document,
              parse_json(text, what, {.max_bytes = max_notebook_bytes}));
  if (!document.is_object()) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is no notebook", what));
  }
  FNIMAGE_TRY(const std::vector<Cell> cells, read_cells(document, what));
  Notebook notebook{.stripped = stripped_text(document, cells)};
  const nlohmann::json& metadata = object_in(document, "metadata");
  notebook.kernel = text_in(object_in(metadata, "kernelspec"), "name");
  notebook.language = text_in(object_in(metadata, "language_info"), "name");
  if (notebook.language.empty()) {
    notebook.language = text_in(object_in(metadata, "kernelspec"), "language");
  }
  CodeReader reader(notebook);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].type != "code") {
      continue;
    }
    reader.read(cells[i], i);
    if (!notebook.parameters && has_tag(cells[i], parameters_tag)) {
      notebook.parameters = to_json_text(parameter_schema(cells[i].source));
    }
  }
  return notebook;
}

}  // namespace fnimage::notebook
