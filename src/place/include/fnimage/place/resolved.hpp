// Placing what a Resolver knows already, without asking the registry again. Thread-safety: a pure
// function.
#pragma once

#include <cstddef>
#include <optional>

#include <fnimage/base/result.hpp>
#include <fnimage/place/place.hpp>
#include <fnimage/resolve/image.hpp>

namespace fnimage::place {

/// Places a list or single image, or one of its variants. Errors: those of place(), and of
/// ResolvedImage::facts().
Result<Placement> place(const resolve::ResolvedImage& image, std::optional<std::size_t> variant,
                        const Options& options);

}  // namespace fnimage::place
