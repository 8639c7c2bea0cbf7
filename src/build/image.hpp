// From finished layers to the config and manifest of one platform, and from those to the list. What
// the build file says comes before what the runtime says, and that before the base image.
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include <fnimage/build/build.hpp>
#include <fnimage/layer/layer.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>

#include "plan.hpp"

namespace fnimage::build {

struct NamedBlob {
  std::string name;
  layer::Layer layer;
  std::string place{};  ///< PlannedLayer's
};

/// The platform's image config. Layers lowest first, without the base's.
manifest::ImageConfig make_config(const BuildSpec& spec, const Plan& plan,
                                  const PlatformPlan& platform,
                                  const std::vector<NamedBlob>& layers);

/// The manifest for it; every media type is of the wanted family. `config_bytes` is what was
/// emitted.
manifest::ImageManifest make_manifest(const BuildSpec& spec, const Plan& plan,
                                      const PlatformPlan& platform,
                                      const std::vector<NamedBlob>& layers,
                                      std::string_view config_bytes, manifest::Format format);

/// What the platform's image needs of a node; empty when it needs nothing. Of its manifest and of
/// the list's entry.
manifest::Annotations requires_annotations(const BuildSpec& spec,
                                           const manifest::Platform& platform);

/// Annotations of the list: the build file's, its variants, and where the base came from.
manifest::Annotations list_annotations(const BuildSpec& spec, const Plan& plan);

/// A layer's or base layer's descriptor in the wanted family.
manifest::Descriptor convert(manifest::Descriptor descriptor, manifest::Format format);

}  // namespace fnimage::build
