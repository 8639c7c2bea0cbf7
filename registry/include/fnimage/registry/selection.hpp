// Choosing platforms of a list before it is copied. Thread-safety: a pure function but for the
// store.
#pragma once

#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/location.hpp>

namespace fnimage::registry {

/// The same image with these platforms only (none named = all of it, unchanged). One platform is
/// that platform's image, byte for byte; with `keep_list`, or for several, it is a list of their
/// entries in their order (a new document: the list's digest changes unless they are all it has).
/// An image that is no list must be for the one platform that is named. Error: platform_mismatch
/// that names what there is.
Result<OpenedImage> select_platforms(OpenedImage image,
                                     const std::vector<manifest::Platform>& platforms,
                                     bool keep_list);

/// The list's entry for a platform (equal after normalisation), or the image itself when it is no
/// list. Errors: platform_mismatch, those of the store.
Result<manifest::Descriptor> find_platform(ImageStore& store, const Selector& selector,
                                           const manifest::Platform& platform);

}  // namespace fnimage::registry
