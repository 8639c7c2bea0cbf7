// What `docker save` writes, shown as the layout that it would be: manifest.json names configs and
// layers, the image manifests are made from them. Private to archive. Thread-safety: see
// LayoutFiles.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/layout_reader.hpp>

namespace fnimage::archive {

/// An image that the archive describes as "name:tag" is an index.json entry of that name; each also
/// has its place, "@0". Layers are what the archive has, compressed or not. Errors: invalid_input,
/// not_found for a member that manifest.json names.
Result<std::shared_ptr<const registry::LayoutFiles>> docker_archive_files(
    const std::filesystem::path& file);

/// "name" -> "name:latest"; a name with a tag and "@0" stay.
std::string with_latest(std::string_view name);

}  // namespace fnimage::archive
