// A base image: one platform's layers and config out of a list (or single image) in any store.
// Thread-safety: a value type.
#pragma once

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::source {

struct BaseImage {
  manifest::Descriptor root;        ///< what the tag pointed to: recorded as base.digest
  manifest::Descriptor descriptor;  ///< the chosen platform's manifest
  manifest::ImageManifest manifest;
  manifest::ImageConfig config;
};

/// Chooses the platform's image with our own matcher; an entry whose config says another platform
/// than its descriptor is refused. A single image is taken only if its config is of that platform.
/// Error: platform_mismatch that names the missing platform and those present.
Result<BaseImage> load_base_image(registry::ImageStore& store, const registry::Selector& selector,
                                  const manifest::Platform& platform);

}  // namespace fnimage::source
