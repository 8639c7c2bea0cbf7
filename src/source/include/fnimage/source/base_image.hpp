// A base image: one platform's layers and config out of a list (or single image) in any store.
// Thread-safety: value types; load() from
// several threads.
#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/document.hpp>
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

/// A base image as it stood when it was opened: the tag is read once for all platforms, so that
/// they all come from the same list, whatever moves in between (F31).
class BaseImages {
 public:
  /// @param store must outlive this.
  /// @param cache a directory (made when missing) that keeps manifests and configs by digest: a
  ///   build on an unchanged base asks for nothing but where the tag stands. Empty = none.
  static Result<BaseImages> open(registry::ImageStore& store, registry::Selector selector,
                                 std::filesystem::path cache = {});

  /// Chooses the platform's image with our own matcher; an entry whose config says another platform
  /// than its descriptor is refused. A single image is taken only if its config is of that
  /// platform. Error: platform_mismatch that names the missing platform and those present.
  [[nodiscard]] Result<BaseImage> load(const manifest::Platform& platform) const;

 private:
  BaseImages(registry::ImageStore& store, registry::Selector selector, manifest::Document root,
             std::filesystem::path cache)
      : store_(&store),
        selector_(std::move(selector)),
        root_(std::move(root)),
        cache_(std::move(cache)) {}
  [[nodiscard]] Result<manifest::Document> manifest_of(const manifest::Descriptor& entry) const;
  [[nodiscard]] Result<manifest::ImageConfig> config_of(const manifest::Descriptor& config,
                                                        std::string_view what) const;

  registry::ImageStore* store_;
  registry::Selector selector_;
  manifest::Document root_;
  std::filesystem::path cache_;
};

}  // namespace fnimage::source
