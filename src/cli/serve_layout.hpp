// A repository of the embedded registry for those who only look: nothing of it is changed, damaged
// blobs are not removed, and errors do not say where it is. Thread-safety: see ImageStore.
#pragma once

#include <filesystem>
#include <memory>

#include <fnimage/base/result.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::cli {

/// Errors: not_found, unsupported (an unknown version).
Result<std::unique_ptr<registry::ImageStore>> open_layout_to_look(
    const std::filesystem::path& directory);

}  // namespace fnimage::cli
