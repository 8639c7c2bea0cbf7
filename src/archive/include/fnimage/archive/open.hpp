// Opening every place that an image can be read from: what registry::open_for_reading() opens, and
// archives. This module stands above registry and layer, because an archive is both: an image store
// and a tar. Thread-safety: a pure function but for what it reads.
#pragma once

#include <filesystem>
#include <memory>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/location.hpp>

namespace fnimage::archive {

/// Opens a location for reading. Members of an archive are read in place, without unpacking it,
/// unless it is compressed as a whole; what a local list only refers to is read from where it is.
/// Archives that hold several images need a tag; an image of a
/// docker archive may also be named "@0", by its place. Errors: not_found; invalid_input for what
/// is no image archive, or a broken or hostile one (A14-A16).
Result<registry::OpenedImage> open_image(const registry::Location& location,
                                         registry::Client& client,
                                         const std::filesystem::path& local_store);

/// Opens all of a layout, archive, repository or the local store, whatever tag the location has.
Result<std::unique_ptr<registry::ImageStore>> open_store(const registry::Location& location,
                                                         registry::Client& client,
                                                         const std::filesystem::path& local_store);

}  // namespace fnimage::archive
