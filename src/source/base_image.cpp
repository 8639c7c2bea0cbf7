// Reading one platform of a base image: list -> manifest -> config, each verified by its digest
// (the store does) and held against the others (publishing rule 3: the platform of the list's entry
// and that of the config are the same).
// Thread-safety: pure but for the store.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/source/base_image.hpp>

#include "content_cache.hpp"

namespace fnimage::source {

namespace {

std::string platform_names(const manifest::Index& index) {
  std::vector<std::string> names;
  for (const manifest::Descriptor& entry : index.manifests) {
    if (entry.platform && entry.platform->os != "unknown") {
      names.push_back(printable(entry.platform->str()));
    }
  }
  return names.empty() ? "no platform at all" : fmt::format("{}", fmt::join(names, ", "));
}

/// The same os and architecture, and nothing that the wanted platform lacks. A node may run a 386
/// image on amd64, but an image whose base is for another architecture is not one for amd64.
bool serves(const manifest::Platform& offered, const manifest::Platform& wanted) {
  const manifest::Platform normal = manifest::normalize(offered);
  return normal.architecture == manifest::normalize(wanted).architecture &&
         std::ranges::any_of(manifest::compatible_platforms(wanted),
                             [&](const manifest::Platform& runnable) {
                               return manifest::same_platform(runnable, normal);
                             });
}

/// @param what the base image for messages.
Result<manifest::Descriptor> choose(const manifest::Index& index, const manifest::Platform& wanted,
                                    std::string_view what) {
  const auto best = manifest::best_match(index.manifests, wanted);
  if (!best || !serves(*index.manifests[*best].platform, wanted)) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("base image {} has no {}; it has {}", what, wanted.str(),
                            platform_names(index)),
                "choose a base that has every platform, or build only those it has (--platform)");
  }
  const manifest::Descriptor& entry = index.manifests[*best];
  if (!manifest::is_manifest_type(entry.media_type)) {
    return fail(ErrorCode::unsupported,
                fmt::format("the {} entry of base image {} is no image but {}", wanted.str(), what,
                            printable(entry.media_type)));
  }
  return entry;
}

Result<void> check_layers(const BaseImage& image, std::string_view what) {
  for (const manifest::Descriptor& layer : image.manifest.layers) {
    if (!manifest::is_layer_type(layer.media_type)) {
      return fail(ErrorCode::unsupported, fmt::format("base image {} has a layer of type {}", what,
                                                      printable(layer.media_type)));
    }
  }
  if (image.manifest.layers.size() != image.config.diff_ids.size()) {
    return fail(ErrorCode::invalid_input,
                fmt::format("base image {} has {} layers but its config lists {}", what,
                            image.manifest.layers.size(), image.config.diff_ids.size()));
  }
  return {};
}

}  // namespace

Result<BaseImages> BaseImages::open(registry::ImageStore& store, registry::Selector selector,
                                    std::filesystem::path cache) {
  remove_stale_temporaries(cache / "sha256");  // of builds that were killed
  FNIMAGE_TRY(manifest::Document root, store.get_manifest(selector));
  return BaseImages(store, std::move(selector), std::move(root), std::move(cache));
}

Result<manifest::Document> BaseImages::manifest_of(const manifest::Descriptor& entry) const {
  if (auto kept = find_content(cache_, entry)) {
    return manifest::Document::from_bytes(std::move(*kept), entry.media_type,
                                          "the cached " + entry.digest.str());
  }
  FNIMAGE_TRY(manifest::Document document, store_->get_manifest(entry.digest));
  keep_content(cache_, entry.digest, document.bytes());
  return document;
}

Result<manifest::ImageConfig> BaseImages::config_of(const manifest::Descriptor& config,
                                                    std::string_view what) const {
  if (!manifest::is_config_type(config.media_type)) {
    return fail(ErrorCode::unsupported, fmt::format("base image {} is an artifact of type {}", what,
                                                    printable(config.media_type)));
  }
  if (const auto kept = find_content(cache_, config)) {
    return manifest::ImageConfig::parse(*kept);
  }
  FNIMAGE_TRY(const std::string bytes, registry::read_config_bytes(*store_, config));
  keep_content(cache_, config.digest, bytes);
  return manifest::ImageConfig::parse(bytes);
}

Result<BaseImage> BaseImages::load(const manifest::Platform& platform) const {
  const std::string what =
      fmt::format("{} ({})", printable(registry::to_string(selector_)), store_->describe());
  manifest::Document document = root_;
  manifest::Descriptor chosen = root_.descriptor();
  if (document.is_index()) {
    FNIMAGE_TRY(const manifest::Index index, document.index());
    FNIMAGE_TRY(chosen, choose(index, platform, what));
    FNIMAGE_TRY(document, manifest_of(chosen));
  }
  FNIMAGE_TRY(manifest::ImageManifest image, document.image());
  FNIMAGE_TRY(manifest::ImageConfig config, config_of(image.config, what));
  if (!config.has_platform() && !chosen.platform) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("base image {} does not say its platform", what),
                "use another base image");
  }
  if (!config.has_platform()) {
    config.platform = *chosen.platform;
  }
  if (chosen.platform && !manifest::same_platform(*chosen.platform, config.platform)) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("base image {} calls an image {} whose own config says {}", what,
                            printable(chosen.platform->str()), printable(config.platform.str())),
                "the base image was published wrongly; use another one");
  }
  if (!serves(config.platform, platform)) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("base image {} is only for {}, not for {}", what,
                            printable(config.platform.str()), platform.str()),
                "choose a base that has every platform, or build only that one (--platform)");
  }
  chosen.platform = config.platform;
  BaseImage base{.root = root_.descriptor(),
                 .descriptor = std::move(chosen),
                 .manifest = std::move(image),
                 .config = std::move(config)};
  FNIMAGE_CHECK(check_layers(base, what));
  return base;
}

}  // namespace fnimage::source
