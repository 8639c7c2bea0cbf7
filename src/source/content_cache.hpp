// Small contents kept by digest in a directory (<directory>/<algorithm>/<hex>), so that what cannot
// have changed is not fetched again. The directory can be deleted at any time; a damaged file is a
// miss, and one that cannot be written is not kept. Thread-safety: from several threads and
// processes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/manifest/descriptor.hpp>

namespace fnimage::source {

/// The content, verified. An empty directory never has any, and nothing larger than 8 MiB.
std::optional<std::string> find_content(const std::filesystem::path& directory,
                                        const manifest::Descriptor& wanted);
void keep_content(const std::filesystem::path& directory, const manifest::Digest& digest,
                  std::string_view bytes);

}  // namespace fnimage::source
