// Bills of materials of what a build made. Private to build. Thread-safety: as build().
#pragma once

#include <fnimage/build/build.hpp>

namespace fnimage::build {

/// Attaches the documents that the options ask for to each platform's image, all of which are in
/// the store, and notes them.
Result<void> attach_sboms(const BuildSpec& spec, const BuildOptions& options,
                          registry::ImageStore& store, const Environment& environment,
                          std::vector<BuiltPlatform>& built);

}  // namespace fnimage::build
