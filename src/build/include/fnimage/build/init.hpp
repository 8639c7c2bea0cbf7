// A starting point: the build file and handler that `init` writes. Thread-safety: may run several
// times at once in different directories.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::build {

/// The name of a build file.
inline constexpr const char* build_file_name = "fnimage.yaml";

struct InitOptions {
  std::filesystem::path directory;  ///< made if missing
  std::string runtime = "python";
  std::string name{};  ///< of the function; empty = made from the directory's name
};

struct InitResult {
  std::string name;
  std::vector<std::filesystem::path> files;  ///< written, build file first
};

/// Writes a build file and a handler that `build` accepts as they stand. Errors: already_exists
/// when one of them is there (nothing is written then), invalid_argument for a name or runtime.
Result<InitResult> init(const InitOptions& options);

}  // namespace fnimage::build
