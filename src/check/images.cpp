// Finding the images of a store and reading their layers, see images.hpp.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/check/images.hpp>
#include <fnimage/manifest/media_types.hpp>

namespace fnimage::check {

namespace {

constexpr std::size_t max_nesting = 8;
constexpr std::size_t max_images = 10'000;

bool is_attestation(const manifest::Descriptor& entry) {
  return entry.platform && entry.platform->os == "unknown" &&
         entry.platform->architecture == "unknown";
}

/// The images below a document, those of lists within the list too.
class Collector {
 public:
  Collector(registry::ImageStore& store, const std::vector<manifest::Platform>& wanted)
      : store_(store), wanted_(wanted) {}

  Result<void> add(const manifest::Document& document, const manifest::Descriptor& descriptor,
                   std::size_t depth) {
    if (!document.is_index()) {
      return add_image(document, descriptor);
    }
    if (depth >= max_nesting) {
      return fail(ErrorCode::invalid_input, "lists within lists are nested too deep");
    }
    FNIMAGE_TRY(const manifest::Index index, document.index());
    for (const manifest::Descriptor& entry : index.manifests) {
      if (is_attestation(entry) || (entry.platform && !is_wanted(*entry.platform))) {
        continue;
      }
      FNIMAGE_TRY(const manifest::Document child, store_.get_manifest(entry.digest));
      FNIMAGE_CHECK(add(child, entry, depth + 1));
    }
    return {};
  }

  [[nodiscard]] std::vector<Image> take() && { return std::move(images_); }

 private:
  [[nodiscard]] bool is_wanted(const manifest::Platform& platform) const {
    return wanted_.empty() ||
           std::any_of(wanted_.begin(), wanted_.end(), [&](const manifest::Platform& one) {
             return manifest::normalize(platform) == one;
           });
  }

  Result<void> add_image(const manifest::Document& document,
                         const manifest::Descriptor& descriptor) {
    FNIMAGE_TRY(manifest::ImageManifest image, document.image());
    if (!manifest::is_config_type(image.config.media_type)) {
      return {};  // an artifact has no files that run
    }
    FNIMAGE_TRY(manifest::ImageConfig config, registry::read_config(store_, image.config));
    const manifest::Platform platform = descriptor.platform.value_or(config.platform);
    if (!is_wanted(platform)) {
      return {};
    }
    if (images_.size() >= max_images) {
      return fail(ErrorCode::invalid_input, "too many images in one list");
    }
    images_.push_back({.descriptor = descriptor,
                       .manifest = std::move(image),
                       .config = std::move(config),
                       .platform = manifest::normalize(platform)});
    return {};
  }

  registry::ImageStore& store_;
  const std::vector<manifest::Platform>& wanted_;
  std::vector<Image> images_;
};

/// What made each layer, as far as the config's history says it.
std::vector<std::string> layer_names(const Image& image) {
  constexpr std::size_t longest = 40;
  std::vector<std::string> names;
  for (const manifest::HistoryEntry& entry : image.config.history) {
    if (!entry.empty_layer) {
      names.push_back(entry.created_by.empty() ? std::string()
                                               : printable(entry.created_by, longest));
    }
  }
  names.resize(image.manifest.layers.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] =
        names[i].empty() ? fmt::format("{}", i + 1) : fmt::format("{} ({})", i + 1, names[i]);
  }
  return names;
}

Result<void> require_platforms(const std::vector<Image>& images,
                               const std::vector<manifest::Platform>& wanted) {
  for (const manifest::Platform& platform : wanted) {
    const bool there = std::any_of(images.begin(), images.end(),
                                   [&](const Image& image) { return image.platform == platform; });
    if (!there) {
      return fail(ErrorCode::platform_mismatch, fmt::format("no image for {}", platform.str()),
                  "fnimage inspect shows which platforms there are");
    }
  }
  return {};
}

}  // namespace

Result<std::vector<Image>> find_images(registry::ImageStore& store,
                                       const registry::Selector& selector,
                                       const std::vector<manifest::Platform>& platforms) {
  FNIMAGE_TRY(const manifest::Document root, store.get_manifest(selector));
  Collector collector(store, platforms);
  FNIMAGE_CHECK(collector.add(root, root.descriptor(), 0));
  std::vector<Image> images = std::move(collector).take();
  FNIMAGE_CHECK(require_platforms(images, platforms));
  if (images.empty()) {
    return fail(ErrorCode::invalid_input, "there is no image in it");
  }
  return images;
}

Result<LayerEntries> read_layers(registry::ImageStore& store, const std::vector<Image>& images,
                                 const LayerReader& reader, WorkerPool& pool,
                                 Diagnostics& diagnostics) {
  LayerEntries layers;
  TaskGroup group(pool);
  for (const Image& image : images) {
    for (const manifest::Descriptor& blob : image.manifest.layers) {
      const auto [slot, is_new] = layers.try_emplace(blob.digest);
      if (!is_new) {
        continue;
      }
      group.run([&, blob, entries = &slot->second]() -> Result<void> {
        const auto progress =
            diagnostics.begin(fmt::format("layer {:.12}", blob.digest.hex()), blob.size);
        const auto read = [&]() -> Result<std::vector<layer::Entry>> {
          FNIMAGE_TRY(const ContentPtr content, store.blob(blob));
          return reader(blob, *content);
        };
        auto result = read();
        progress->finish(result ? "done" : "failed");
        FNIMAGE_CHECK(result);
        *entries = std::move(*result);
        return {};
      });
    }
  }
  FNIMAGE_CHECK(group.wait());
  return layers;
}

ImageFiles lay_files(const Image& image, const LayerEntries& layers) {
  ImageFiles files;
  const std::vector<std::string> names = layer_names(image);
  for (std::size_t i = 0; i < names.size(); ++i) {
    files.add_layer(names[i], layers.at(image.manifest.layers[i].digest));
  }
  return files;
}

}  // namespace fnimage::check
