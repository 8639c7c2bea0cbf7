// Whether the Python modules that an image starts with can be imported: the import statements that
// are sure to be executed, from the image's scripts through all modules that they reach, are looked
// up as the image's interpreter would. Sources: the Python documentation of sys.path, importlib and
// site; PEP 3149 and Debian's Python policy for file names. Thread-safety: belongs to one thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fnimage/check/image_files.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/platform.hpp>

namespace fnimage::check {

/// An import that fails.
struct MissingImport {
  std::string path;    ///< of the module that has it, relative to the root
  std::string module;  ///< its first part
  std::string
      other_abi{};  ///< an extension module of that name for another Python, if there is one
};

struct PythonImports {
  std::vector<MissingImport> missing{};
  std::set<std::string, std::less<>> extensions{};  ///< extension modules that are loaded
};

/// What an image lets Python start.
struct PythonStart {
  std::vector<std::string> scripts{};  ///< paths relative to the root, without links
  std::vector<std::string> modules{};  ///< by name: `python3 -m NAME`
};

/// What the words of the image's command say, and what fnimage's proxy is told to load.
PythonStart python_start(const ImageFiles& files, const manifest::ImageConfig& config);

/// Follows the imports of what is started. @param interpreter path of the program, relative to the
/// root, without links. nullopt when that is no Python of a known kind.
std::optional<PythonImports> follow_imports(const ImageFiles& files,
                                            const manifest::ImageConfig& config,
                                            const manifest::Platform& platform,
                                            const std::string& interpreter,
                                            const PythonStart& start);

}  // namespace fnimage::check
