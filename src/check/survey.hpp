// One look at each file of an image: which are ELF objects, which are scripts. Thread-safety: pure
// function over const files.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/elf/object.hpp>

namespace fnimage::check {

/// Paths are relative to the root, without links.
struct Survey {
  std::map<std::string, elf::Identity, std::less<>> objects{};  ///< loadable ones
  /// Executable scripts: the words of their first line.
  std::map<std::string, std::vector<std::string>, std::less<>> scripts{};
  std::size_t files = 0;
};

/// Errors: those of reading.
Result<Survey> survey(const ImageFiles& files);

}  // namespace fnimage::check
