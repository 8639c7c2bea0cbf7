// Which packages share a layer. Layers are cut so that an update replaces little, and so that
// functions of one cluster have their lower layers in common, whatever else they install: what
// every system has, the runtime's interpreter, the other packages, those that are not of Debian,
// and what is made for the image as a whole on top. Packages for all architectures have layers of
// their own, which are the same blob for every platform: what only some of an image's platforms
// have is not in them. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/source/debian.hpp>
#include <fnimage/source/package_pool.hpp>

#include "debian/layout.hpp"
#include "debian/package.hpp"

namespace fnimage::source::debian {

/// The number of each package's layer, lowest first.
struct PackageLayers {
  std::vector<std::size_t> files{};     ///< of what the packages bring
  std::vector<std::size_t> bytecode{};  ///< of what is made out of it for all architectures
};

/// A package is in the lowest group of which a member needs it. `unpacked` is parallel to
/// `packages`, whose order does not matter.
/// Error: invalid_input for a control file that cannot be read.
Result<PackageLayers> choose_layers(std::span<const DebianPackage> packages,
                                    std::span<const UnpackedPackage> unpacked,
                                    std::string_view release, const AssembleOptions& options);

/// Cuts the finished image, which is used up (there may be 100'000 entries): each file goes to its
/// owner's layer, what has no owner to the top.
/// @param layers of the packages, as choose_layers() gave them. Layers without content are left
/// out.
Result<std::vector<NamedTree>> split_layers(Layout&& layout, const PackageLayers& layers);

}  // namespace fnimage::source::debian
