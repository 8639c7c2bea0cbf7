// See the header. Documents are changed as JSON, so that what others have put into them, and what
// this version does not know, stays.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/text.hpp>
#include <fnimage/base/time.hpp>
#include <fnimage/build/replace_layer.hpp>
#include <fnimage/layer/cache.hpp>
#include <fnimage/layer/layer.hpp>
#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/validate.hpp>
#include <fnimage/source/files.hpp>

#include "image.hpp"
#include "layer_history.hpp"
#include "lower_layers.hpp"
#include "user_layers.hpp"

namespace fnimage::build {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using Json = nlohmann::ordered_json;

/// One image, and what becomes of it.
struct Image {
  std::optional<manifest::Platform> platform{};
  Document document;
  std::optional<manifest::ImageManifest> manifest{};  ///< read_image() reads it
  std::string config_bytes{};
  manifest::ImageConfig config{};
  std::size_t layer = 0;  ///< index of the layer in question
  ToldLayer told{};
  std::optional<layer::Layer> made{};
  std::optional<Document> replaced{};  ///< the same one where nothing changes
  std::string new_config{};            ///< where something does, and its descriptor
  std::optional<Descriptor> new_config_descriptor{};
};

std::string name_of(const Image& image) {
  return image.platform ? image.platform->str() : image.document.digest().str();
}

/// Puts another blob into a descriptor; its annotations stay.
void point_to(Json& descriptor, const Digest& digest, std::uint64_t size) {
  descriptor["digest"] = digest.str();
  descriptor["size"] = size;
  descriptor.erase("data");  // the content itself, of the old one
  descriptor.erase("urls");
}

layer::Compression compression_of(std::string_view media_type) {
  if (media_type.ends_with("zstd")) {
    return layer::Compression::zstd;
  }
  return media_type.ends_with("gzip") ? layer::Compression::gzip : layer::Compression::none;
}

class Replacer {
 public:
  Replacer(registry::ImageStore& store, const LayerReplacement& replacement,
           const Environment& environment)
      : store_(store), replacement_(replacement), environment_(environment) {}

  Result<ReplaceResult> run(const registry::Selector& selector, const ReplacementTarget& target) {
    store_.expect_writes();
    FNIMAGE_TRY(const Document root, store_.get_manifest(selector));
    FNIMAGE_CHECK(read_images(root));
    FNIMAGE_CHECK(make_layers());
    for (Image& image : images_) {
      FNIMAGE_CHECK(replace_in(image));
    }
    FNIMAGE_TRY(const Document replaced, replaced_root(root));
    if (replaced.digest() != root.digest()) {
      FNIMAGE_CHECK(store_blobs());
    } else if (target.tags == std::vector<std::string>{registry::to_string(selector)}) {
      return result_of(root, replaced);
    }
    if (root.is_index()) {
      FNIMAGE_CHECK(store_images(target));
    }
    FNIMAGE_CHECK(store_root(selector, root, replaced, target));
    return result_of(root, replaced);
  }

 private:
  Result<void> read_images(const Document& root) {
    if (!root.is_index()) {
      images_.push_back({.document = root});
    } else {
      FNIMAGE_TRY(const manifest::Index index, root.index());
      for (const Descriptor& entry : index.manifests) {
        if (entry.platform && entry.platform->os == "unknown") {
          continue;
        }
        FNIMAGE_TRY(Document document, store_.get_manifest(entry.digest));
        images_.push_back({.platform = entry.platform, .document = std::move(document)});
      }
    }
    TaskGroup group(environment_.pool);
    for (Image& image : images_) {
      group.run([this, &image] { return read_image(image); });
    }
    return group.wait();
  }

  Result<void> read_image(Image& image) {
    if (!image.document.is_image()) {
      return fail(ErrorCode::unsupported,
                  fmt::format("{} is no image ({})", name_of(image), image.document.media_type()),
                  "name one list of images, or one image");
    }
    FNIMAGE_TRY(image.manifest, image.document.image());
    FNIMAGE_TRY(image.config_bytes, registry::read_config_bytes(store_, image.manifest->config));
    FNIMAGE_TRY(image.config, manifest::ImageConfig::parse(image.config_bytes));
    FNIMAGE_CHECK(manifest::require_valid(manifest::validate(*image.manifest, image.config),
                                          "manifest of " + name_of(image)));
    if (!image.platform && image.config.has_platform()) {
      image.platform = image.config.platform;
    }
    return find_layer(image);
  }

  Result<void> find_layer(Image& image) const {
    const std::vector<ToldLayer> layers = layers_in_history(image.config);
    const auto found = std::ranges::find(layers, replacement_.name, &ToldLayer::name);
    if (found != layers.end()) {
      image.layer = static_cast<std::size_t>(found - layers.begin());
      image.told = *found;
      return {};
    }
    std::vector<std::string> names;
    for (const ToldLayer& layer : layers) {
      if (!layer.name.empty()) {
        names.push_back(printable(layer.name, 100));
      }
    }
    return fail(
        ErrorCode::not_found,
        fmt::format("{} has no layer '{}'", name_of(image), printable(replacement_.name, 100)),
        names.empty() ? std::string("it was not made by fnimage")
                      : fmt::format("it has {}", fmt::join(names, ", ")));
  }

  /// One for all images with the same content, path and compression.
  Result<void> make_layers() {
    FNIMAGE_TRY(layer::LayerCache cache,
                layer::LayerCache::open(environment_.cache_directory / "layers"));
    std::map<std::tuple<std::string, std::string, layer::Compression>, layer::Layer> made;
    for (Image& image : images_) {
      FNIMAGE_TRY(const std::string from, from_of(image));
      const std::string& to = replacement_.to.empty() ? image.told.place : replacement_.to;
      if (to.empty()) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("{} does not say where the content of its layer '{}' is",
                                name_of(image), printable(replacement_.name, 100)),
                    "say it with --to");
      }
      const layer::Compression compression = replacement_.compression.value_or(
          compression_of(image.manifest->layers[image.layer].media_type));
      auto known = made.find({from, to, compression});
      if (known == made.end()) {
        FNIMAGE_TRY(layer::Layer layer, make_layer(from, to, compression, cache));
        known = made.emplace(std::tuple(from, to, compression), std::move(layer)).first;
      }
      image.made = known->second;
    }
    return {};
  }

  [[nodiscard]] Result<std::string> from_of(const Image& image) const {
    return fill_placeholders(replacement_.from.string(),
                             image.platform.value_or(manifest::Platform{}));
  }

  [[nodiscard]] Result<layer::Layer> make_layer(const std::string& from, const std::string& to,
                                                layer::Compression compression,
                                                layer::LayerCache& cache) const {
    const std::int64_t mtime = replacement_.source_date_epoch.value_or(0);
    layer::FileTree tree;
    FNIMAGE_CHECK(
        source::add_path(from, to, {.mtime = mtime, .stop = environment_.pool.stop_token()}, tree));
    // What is below is not read: only what is the same in every system is known of it.
    FNIMAGE_TRY(tree, LowerLayers(true, mtime).fit(tree));
    return layer::build_layer(tree, {.compression = compression, .label = replacement_.name}, cache,
                              environment_.pool, environment_.diagnostics);
  }

  /// The layer in the family of the manifest.
  [[nodiscard]] static Descriptor layer_of(const Image& image) {
    return convert(image.made->descriptor, image.manifest->format);
  }

  Result<void> replace_in(Image& image) const {
    const Descriptor layer = layer_of(image);
    if (layer.digest == image.manifest->layers[image.layer].digest) {
      image.replaced = image.document;
      return {};
    }
    image.new_config = changed_config(image);
    Json json = Json::parse(image.document.bytes());
    point_to(json["config"], Digest::of(image.new_config), image.new_config.size());
    Json& entry = json["layers"][image.layer];
    entry["mediaType"] = layer.media_type;
    point_to(entry, layer.digest, layer.size);
    FNIMAGE_TRY(image.replaced,
                Document::from_bytes(json.dump(), image.document.media_type(), name_of(image)));
    FNIMAGE_TRY(const manifest::ImageManifest made, image.replaced->image());
    FNIMAGE_TRY(const manifest::ImageConfig config, manifest::ImageConfig::parse(image.new_config));
    image.new_config_descriptor = made.config;
    return manifest::require_valid(manifest::validate(made, config),
                                   "new manifest of " + name_of(image));
  }

  [[nodiscard]] std::string changed_config(const Image& image) const {
    Json config = Json::parse(image.config_bytes);
    config["rootfs"]["diff_ids"][image.layer] = image.made->diff_id.str();
    Json& entry = config["history"][image.told.history];
    if (!replacement_.to.empty()) {
      entry["comment"] = comment_of(replacement_.to);
    }
    if (replacement_.source_date_epoch) {
      config["created"] = rfc3339(*replacement_.source_date_epoch);
      entry["created"] = config["created"];
    }
    return config.dump();
  }

  [[nodiscard]] Result<Document> replaced_root(const Document& root) const {
    if (!root.is_index()) {
      return *images_.front().replaced;
    }
    std::map<std::string, const Image*> by_digest;
    for (const Image& image : images_) {
      if (image.replaced->digest() != image.document.digest()) {
        by_digest.emplace(image.document.digest().str(), &image);
      }
    }
    if (by_digest.empty()) {
      return root;
    }
    Json index = Json::parse(root.bytes());
    Json entries = Json::array();
    for (Json& entry : index["manifests"]) {
      const auto image = by_digest.find(entry["digest"].get<std::string>());
      if (image != by_digest.end()) {
        const Document& replaced = *image->second->replaced;
        point_to(entry, replaced.digest(), replaced.bytes().size());
      } else if (by_digest.contains(subject_of(entry))) {
        environment_.diagnostics.report(
            Severity::warning, "the list's statement about an image that is replaced is left out");
        continue;
      }
      entries.push_back(std::move(entry));
    }
    index["manifests"] = std::move(entries);
    return Document::from_bytes(index.dump(), root.media_type(), "the new list");
  }

  /// The image that an entry of unknown platform is about (BuildKit's attestations).
  static std::string subject_of(const Json& entry) {
    const auto annotations = entry.find("annotations");
    return annotations == entry.end() || !annotations->is_object()
               ? std::string()
               : annotations->value("vnd.docker.reference.digest", std::string());
  }

  Result<void> store_blobs() {
    std::map<Digest, const layer::Layer*> layers;
    for (const Image& image : images_) {
      layers.emplace(image.made->descriptor.digest, &*image.made);
    }
    TaskGroup group(environment_.pool);
    for (const auto& [digest, layer] : layers) {
      group.run([this, layer = layer]() -> Result<void> {
        const auto progress =
            environment_.diagnostics.begin("layer " + replacement_.name, layer->descriptor.size);
        const auto put =
            store_.put_blob(layer->descriptor, *layer->blob, {.progress = progress.get()});
        progress->finish(put ? "done" : "failed");
        return put ? Result<void>() : fail(put.error());
      });
    }
    for (const Image& image : images_) {
      if (image.new_config_descriptor) {
        group.run([this, &image]() -> Result<void> {
          FNIMAGE_CHECK(store_.put_blob(*image.new_config_descriptor,
                                        *memory_content(image.new_config), {.probably_new = true}));
          return {};
        });
      }
    }
    return group.wait();
  }

  /// Each under its platform's tags at once, as when a list is pushed.
  Result<void> store_images(const ReplacementTarget& target) {
    TaskGroup group(environment_.pool);
    for (const Image& image : images_) {
      group.run([this, &image, &target]() -> Result<void> {
        std::vector<std::string> tags;
        for (const std::string& tag : target.tags) {
          if (target.tag_platforms && image.platform) {
            tags.push_back(tag + "-" + image.platform->tag_suffix());
          }
        }
        return tags.empty() ? store_.put_manifest(*image.replaced, std::nullopt)
                            : store_.put_tags(*image.replaced, tags);
      });
    }
    return group.wait();
  }

  Result<void> store_root(const registry::Selector& selector, const Document& root,
                          const Document& replaced, const ReplacementTarget& target) {
    for (const std::string& tag : target.tags) {
      const bool is_own =
          std::holds_alternative<std::string>(selector) && std::get<std::string>(selector) == tag;
      if (!is_own) {
        FNIMAGE_CHECK(store_.put_manifest(replaced, tag));
        continue;
      }
      FNIMAGE_TRY(const bool stood, store_.put_manifest_if(replaced, tag, root.digest()));
      if (!stood) {
        return fail(ErrorCode::already_exists,
                    fmt::format("{} has been moved by someone else meanwhile", printable(tag)),
                    "run the command again: it starts from what stands there now");
      }
    }
    return {};
  }

  [[nodiscard]] ReplaceResult result_of(const Document& root, const Document& replaced) const {
    ReplaceResult result{.before = root.descriptor(), .root = replaced.descriptor(), .images = {}};
    for (const Image& image : images_) {
      result.images.push_back({.platform = image.platform,
                               .before = image.document.digest(),
                               .after = image.replaced->descriptor(),
                               .layer = layer_of(image)});
    }
    return result;
  }

  registry::ImageStore& store_;
  const LayerReplacement& replacement_;
  const Environment& environment_;
  std::vector<Image> images_;
};

}  // namespace

Result<ReplaceResult> replace_layer(registry::ImageStore& store, const registry::Selector& selector,
                                    const LayerReplacement& replacement,
                                    const ReplacementTarget& target,
                                    const Environment& environment) {
  return Replacer(store, replacement, environment).run(selector, target);
}

}  // namespace fnimage::build
