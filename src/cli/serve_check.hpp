// What the page of `fnimage serve` shows as an image's check: that of `fnimage check`.
// Thread-safety: the function that is made may be called by one thread at a time.
#pragma once

#include <functional>

#include <fnimage/server/page.hpp>

namespace fnimage::cli {

/// Checks an image or list in a repository of the registry. Layers are unpacked in the cache
/// directory for as long as it takes.
std::function<Result<server::CheckSummary>(const server::CheckTask&)> image_checker();

}  // namespace fnimage::cli
