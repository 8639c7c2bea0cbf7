// Reading one platform of a base image: list -> manifest -> config, each verified by its digest
// (the store does) and held against the others (publishing rule 3: the platform of the list's entry
// and that of the config are the same).
// Thread-safety: pure but for the store.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/source/base_image.hpp>

namespace fnimage::source {

namespace {

constexpr std::uint64_t max_config_bytes = std::uint64_t{8} << 20;

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

Result<manifest::ImageConfig> read_config(registry::ImageStore& store,
                                          const manifest::Descriptor& config,
                                          std::string_view what) {
  if (!manifest::is_config_type(config.media_type)) {
    return fail(ErrorCode::unsupported, fmt::format("base image {} is an artifact of type {}", what,
                                                    printable(config.media_type)));
  }
  FNIMAGE_TRY(const ContentPtr blob, store.blob(config));
  FNIMAGE_TRY(const std::unique_ptr<Reader> reader, blob->open());
  FNIMAGE_TRY(const std::string bytes, read_all(*reader, max_config_bytes));
  return manifest::ImageConfig::parse(bytes);
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

Result<BaseImage> load_base_image(registry::ImageStore& store, const registry::Selector& selector,
                                  const manifest::Platform& platform) {
  const std::string what =
      fmt::format("{} ({})", printable(registry::to_string(selector)), store.describe());
  FNIMAGE_TRY(manifest::Document document, store.get_manifest(selector));
  const manifest::Descriptor root = document.descriptor();
  manifest::Descriptor chosen = root;
  if (document.is_index()) {
    FNIMAGE_TRY(const manifest::Index index, document.index());
    FNIMAGE_TRY(chosen, choose(index, platform, what));
    FNIMAGE_TRY(document, store.get_manifest(chosen.digest));
  }
  FNIMAGE_TRY(manifest::ImageManifest image, document.image());
  FNIMAGE_TRY(manifest::ImageConfig config, read_config(store, image.config, what));
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
  BaseImage base{.root = root,
                 .descriptor = std::move(chosen),
                 .manifest = std::move(image),
                 .config = std::move(config)};
  FNIMAGE_CHECK(check_layers(base, what));
  return base;
}

}  // namespace fnimage::source
