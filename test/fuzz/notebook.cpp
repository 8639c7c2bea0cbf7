// Notebooks and what stands in their cells: Python's lines, and parameters with literals. The input
// is read as a notebook, and as a cell.
#include <nlohmann/json.hpp>

#include <fnimage/notebook/notebook.hpp>
#include <fnimage/notebook/python_lines.hpp>

#include "fuzz.hpp"
#include "parameters.hpp"

namespace fnimage::fuzz {
namespace {

void check_cell(std::string_view source) {
  const char* at = source.data();
  for (const notebook::LogicalLine& line : notebook::logical_lines(source)) {
    require(line.raw.data() >= at && line.raw.data() + line.raw.size() <= source.end(),
            "lines follow one another in the source");
    at = line.raw.data() + line.raw.size();
    require(!line.text.empty() && line.number > 0, "lines have something on them");
  }
  const nlohmann::ordered_json schema = notebook::parameter_schema(source);
  require(schema["properties"].is_object(), "parameters have a schema");
}

void check_notebook(std::string_view text) {
  const auto first = notebook::read_notebook(text, "input");
  if (!succeeded(first)) {
    return;
  }
  const auto again = notebook::read_notebook(first->stripped, "stripped");
  require(again && again->stripped == first->stripped, "what is stripped stays as it is");
  require(again->code == first->code && again->parameters == first->parameters,
          "stripping changes nothing that is run");
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fnimage::fuzz::text_of(data, size);
  fnimage::fuzz::check_cell(text);
  fnimage::fuzz::check_notebook(text);
  return 0;
}
