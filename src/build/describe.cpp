// Reading an image or list for people, see the header. Children that are missing or broken are
// described as such: a list that is half there is just what one wants to look at.
#include <map>
#include <set>

#include <fnimage/build/describe.hpp>
#include <fnimage/manifest/index.hpp>

namespace fnimage::build {

namespace {

/// Fills manifest, config and platform of one image in.
Result<void> read_image(registry::ImageStore& store, const manifest::Document& document,
                        DescribedImage& described) {
  FNIMAGE_TRY(described.manifest, document.image());
  if (!manifest::is_config_type(described.manifest->config.media_type)) {
    return {};  // an artifact, whose config is its own affair
  }
  FNIMAGE_TRY(described.config, registry::read_config(store, described.manifest->config));
  if (!described.platform) {
    described.platform = described.config->platform;
  }
  return {};
}

Result<void> read_child(registry::ImageStore& store, DescribedImage& described) {
  FNIMAGE_TRY(const manifest::Document document, store.get_manifest(described.descriptor.digest));
  if (document.is_index()) {
    return fail(ErrorCode::unsupported, "a list inside the list");
  }
  return read_image(store, document, described);
}

void add_sizes(Description& description) {
  struct Blob {
    std::uint64_t size;
    int images;
  };
  std::map<manifest::Digest, Blob> blobs;
  for (const DescribedImage& image : description.images) {
    if (!image.manifest) {
      continue;
    }
    std::map<manifest::Digest, std::uint64_t> own{
        {image.manifest->config.digest, image.manifest->config.size}};
    for (const manifest::Descriptor& layer : image.manifest->layers) {
      own.emplace(layer.digest, layer.size);
    }
    for (const auto& [digest, size] : own) {
      ++blobs.emplace(digest, Blob{.size = size, .images = 0}).first->second.images;
    }
  }
  for (const auto& [digest, blob] : blobs) {
    description.total_size += blob.size;
    description.shared_size += blob.images > 1 ? blob.size : 0;
  }
}

}  // namespace

Result<Description> describe(registry::ImageStore& store, const registry::Selector& selector) {
  FNIMAGE_TRY(manifest::Document root, store.get_manifest(selector));
  Description description{.root = root};
  if (root.is_index()) {
    description.is_list = true;
    FNIMAGE_TRY(const manifest::Index index, root.index());
    description.annotations = index.annotations;
    for (const manifest::Descriptor& entry : index.manifests) {
      DescribedImage image{.descriptor = entry, .platform = entry.platform};
      if (const Result<void> read = read_child(store, image); !read) {
        image.problem = read.error().describe();
      }
      description.images.push_back(std::move(image));
    }
  } else {
    DescribedImage image{.descriptor = root.descriptor()};
    if (const Result<void> read = read_image(store, root, image); !read) {
      image.problem = read.error().describe();
    }
    if (image.manifest) {
      description.annotations = image.manifest->annotations;
    }
    description.images.push_back(std::move(image));
  }
  add_sizes(description);
  return description;
}

}  // namespace fnimage::build
