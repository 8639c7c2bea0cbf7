// An archive as an ImageStore that is only for reading: a layout whose files are members of a tar,
// or made up from them. Private to archive. Thread-safety: see ImageStore.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <fnimage/layer/tar_file.hpp>
#include <fnimage/registry/layout_reader.hpp>
#include <fnimage/registry/location.hpp>

namespace fnimage::archive {

/// Opens an archive of either kind and finds the image that the location names, or its only one.
Result<registry::OpenedImage> open_archive(const registry::Location& location);
/// The same without looking for an image.
Result<std::unique_ptr<registry::ImageStore>> open_whole_archive(
    const registry::Location& location);

/// A small member, whole. Errors: not_found, invalid_input above `limit` bytes.
Result<std::string> read_member(const layer::TarFile& tar, const std::string& name,
                                std::uint64_t limit);

}  // namespace fnimage::archive
