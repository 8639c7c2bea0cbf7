// Reading kernel.json files and notebooks, see the header.
#include "notebooks.hpp"

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>

#include "paths.hpp"

namespace fnimage::check {

namespace {

constexpr std::string_view kernel_file = "/kernel.json";
constexpr std::string_view kernel_directory = "share/jupyter/kernels/";
constexpr std::size_t max_kernel_bytes = 65536;

std::optional<nlohmann::json> json_of(const std::string& path, const layer::Entry& entry) {
  const std::optional<std::string> text = text_of(entry, max_kernel_bytes);
  if (!text) {
    return std::nullopt;
  }
  auto value = parse_json(*text, path);
  return value && value->is_object() ? std::optional(std::move(*value)) : std::nullopt;
}

}  // namespace

std::vector<Kernel> kernels_in(const ImageFiles& files) {
  std::vector<Kernel> kernels;
  for (const auto& [path, node] : files.nodes()) {
    const std::size_t directory = path.find(kernel_directory);
    // Packages of Python bring theirs along as data, where Jupyter does not look.
    const bool is_data = path.find("/dist-packages/") != std::string::npos ||
                         path.find("/site-packages/") != std::string::npos;
    if (!path.ends_with(kernel_file) || directory == std::string::npos || is_data) {
      continue;
    }
    const std::size_t begin = directory + kernel_directory.size();
    const std::optional<nlohmann::json> spec = json_of(path, node.entry);
    if (!spec || path.size() < begin + kernel_file.size()) {
      continue;
    }
    Kernel kernel{.path = path,
                  .name = path.substr(begin, path.size() - begin - kernel_file.size()),
                  .program = {}};
    const auto words = spec->find("argv");
    if (words != spec->end() && words->is_array() && !words->empty() &&
        words->front().is_string()) {
      kernel.program = words->front().get<std::string>();
    }
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

std::optional<notebook::Notebook> read_notebook(std::string_view path, const layer::Entry& entry) {
  const auto text = text_of(entry, notebook::max_notebook_bytes);
  auto read = text ? notebook::read_notebook(*text, path)
                   : fail(ErrorCode::invalid_input, "cannot be read");
  return read ? std::optional(std::move(*read)) : std::nullopt;
}

std::vector<Notebook> notebooks_below(const ImageFiles& files, std::string_view directory) {
  std::vector<Notebook> notebooks;
  const std::string prefix = std::string(directory) + "/";
  const ImageFiles::Map& nodes = files.nodes();
  for (auto at = nodes.lower_bound(prefix); at != nodes.end() && at->first.starts_with(prefix);
       ++at) {
    if (!at->first.ends_with(".ipynb") || at->second.entry.type != layer::EntryType::file) {
      continue;
    }
    auto read = read_notebook(at->first, at->second.entry);
    notebooks.push_back({.path = at->first, .kernel = read ? std::move(read->kernel) : ""});
  }
  return notebooks;
}

}  // namespace fnimage::check
