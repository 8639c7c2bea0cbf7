// Lint of a list in a store: manifest::lint() with what the images' configs say. No layer is read.
// Thread-safety: pure but for the store.
#pragma once

#include <cstddef>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/lint.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::check {

/// The rule of an entry whose image is not in the store.
inline constexpr const char* missing_image_rule = "missing-image";

/// manifest::lint() and require::lint(). Error: invalid_input when it is no list.
Result<std::vector<manifest::Finding>> lint_list(const manifest::Document& list,
                                                 const manifest::ConfigPlatforms& configs = {});

/// Of a list: lint_list(), and missing-image. Of a single image: what manifest::validate() says of
/// its manifest and config. Errors: those of the store; invalid_input for documents that cannot be
/// read. @param parallel requests in flight at the same time
Result<std::vector<manifest::Finding>> lint_stored(registry::ImageStore& store,
                                                   const manifest::Document& root,
                                                   std::size_t parallel);

}  // namespace fnimage::check
