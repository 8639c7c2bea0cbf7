// Jupyter kernels and the notebooks that want them. Sources: jupyter_client "Kernel specs",
// nbformat 4 "Notebook metadata". Thread-safety: pure functions over const files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/check/image_files.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/notebook/notebook.hpp>

namespace fnimage::check {

struct Kernel {
  std::string path;     ///< of its kernel.json, relative to the root
  std::string name;     ///< its directory's
  std::string program;  ///< argv[0]
};

/// The kernels that Jupyter finds, in any share/jupyter/kernels directory: of the system, of a
/// virtual environment, of a user. Those that are no JSON are left out.
std::vector<Kernel> kernels_in(const ImageFiles& files);

/// The notebook that is a file of the image; nullopt for what is none, or cannot be read.
std::optional<notebook::Notebook> read_notebook(std::string_view path, const layer::Entry& entry);

struct Notebook {
  std::string path;    ///< relative to the root
  std::string kernel;  ///< that its metadata name; empty = none
};

/// The notebooks below a directory.
std::vector<Notebook> notebooks_below(const ImageFiles& files, std::string_view directory);

}  // namespace fnimage::check
