// See the header.
#include "notebook_source.hpp"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/notebook/notebook.hpp>
#include <fnimage/runtime/runtime.hpp>

namespace fnimage::build {

namespace {

constexpr std::string_view notebook_suffix = ".ipynb";
constexpr const char* parameters_label = "io.fnimage.notebook.parameters";

/// "train.ipynb" of "action/train.ipynb": as the developer calls it.
std::string shown_name(std::string_view path) {
  const std::size_t directory = runtime::action_directory.size();
  return printable(path.size() > directory ? path.substr(directory) : path);
}

Result<notebook::Notebook> read(const layer::Entry& entry) {
  FNIMAGE_TRY(const auto reader, entry.content->open());
  FNIMAGE_TRY(const std::string text, read_all(*reader, notebook::max_notebook_bytes));
  return notebook::read_notebook(text, shown_name(entry.path));
}

Result<void> check_function(const BuildSpec& spec, const notebook::Notebook& function) {
  const std::string name = printable(spec.main);
  if (!function.language.empty() && function.language != "python") {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is a notebook of {}", name, printable(function.language)),
                "the notebook runtime runs those of Python");
  }
  if (spec.notebook.parameters && !function.parameters) {
    return fail(ErrorCode::invalid_input, fmt::format("{} has no cell tagged \"parameters\"", name),
                "tag the cell that sets them (in Jupyter: property inspector, cell tags), or write "
                "notebook: {parameters: none}");
  }
  if (!spec.notebook.parameters && function.parameters) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{} has a cell tagged \"parameters\", and the build file says none", name),
        "remove the tag, or parameters: none");
  }
  if (spec.notebook.compiled && function.ipython) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: cell {}, line {} is no Python: {}", name, function.ipython->cell,
                            function.ipython->number, printable(function.ipython->text, 60)),
                "write it in Python, or choose notebook: {mode: kernel}");
  }
  return {};
}

}  // namespace

Result<std::map<std::string, std::string>> prepare_notebooks(const BuildSpec& spec,
                                                             layer::FileTree& tree) {
  const layer::Entry* main =
      tree.resolve(fmt::format("{}/{}", runtime::action_directory.substr(1), spec.main));
  const std::string main_path = main != nullptr ? main->path : std::string();
  std::vector<std::string> paths;
  for (const auto& [path, entry] : tree.entries()) {
    if (path.ends_with(notebook_suffix) && entry.type == layer::EntryType::file && entry.content) {
      paths.push_back(path);
    }
  }
  std::map<std::string, std::string> labels;
  for (const std::string& path : paths) {
    layer::Entry& entry = *tree.find(path);
    FNIMAGE_TRY(notebook::Notebook notebook, read(entry));
    if (path == main_path) {
      FNIMAGE_CHECK(check_function(spec, notebook));
      if (notebook.parameters) {
        labels[parameters_label] = *notebook.parameters;
      }
    }
    const std::string id = manifest::Digest::of(notebook.stripped).str();
    entry.content = memory_content(std::move(notebook.stripped), id);
  }
  return labels;
}

}  // namespace fnimage::build
