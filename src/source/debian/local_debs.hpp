// .debs of this machine as a part of the index: what they need is resolved like everything else.
// Thread-safety: pure but for reading the files.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>

#include "debian/index.hpp"

namespace fnimage::source::debian {

struct LocalDebs {
  PackageIndex::Part part;
  std::vector<std::string> requests;  ///< "name=version" of each
};

/// @param paths relative to `directory`, and kept so. Errors: those of reading, invalid_input for
/// what is no package, platform_mismatch for one of another architecture.
Result<LocalDebs> index_local_debs(std::span<const std::string> paths,
                                   const std::filesystem::path& directory,
                                   const std::string& architecture);

}  // namespace fnimage::source::debian
