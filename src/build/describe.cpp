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
  if (!described.platform && described.config->has_platform()) {
    described.platform = described.config->platform;
  }
  return {};
}

constexpr std::size_t max_nesting = 8;
constexpr std::size_t max_images = 10'000;

/// Describes the images of a list and of the lists within it.
class ListReader {
 public:
  explicit ListReader(registry::ImageStore& store) : store_(store) {}

  void add(const manifest::Index& index, const std::optional<manifest::Digest>& inner,
           std::size_t depth) {
    for (const manifest::Descriptor& entry : index.manifests) {
      DescribedImage image{.descriptor = entry, .platform = entry.platform, .inner_list = inner};
      if (const Result<void> read = add_entry(image, depth); !read) {
        image.problem = read.error().describe();
        images_.push_back(std::move(image));
      }
    }
  }

  [[nodiscard]] std::vector<DescribedImage> take() && { return std::move(images_); }

 private:
  Result<void> add_entry(DescribedImage& image, std::size_t depth) {
    if (images_.size() >= max_images) {
      return fail(ErrorCode::invalid_input, "too many images to describe");
    }
    FNIMAGE_TRY(const manifest::Document document, store_.get_manifest(image.descriptor.digest));
    if (!document.is_index()) {
      FNIMAGE_CHECK(read_image(store_, document, image));
      images_.push_back(std::move(image));
      return {};
    }
    if (depth >= max_nesting) {
      return fail(ErrorCode::invalid_input, "lists within lists are nested too deep");
    }
    FNIMAGE_TRY(const manifest::Index inner, document.index());
    add(inner, document.digest(), depth + 1);
    return {};
  }

  registry::ImageStore& store_;
  std::vector<DescribedImage> images_;
};

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

Result<void> add_companions(registry::ImageStore& store, Description& description) {
  if (description.is_list) {
    FNIMAGE_TRY(description.companions, sbom::companions_of(store, description.root.digest()));
  }
  for (DescribedImage& image : description.images) {
    FNIMAGE_TRY(image.companions, sbom::companions_of(store, image.descriptor.digest));
  }
  return {};
}

}  // namespace

Result<Description> describe(registry::ImageStore& store, const registry::Selector& selector,
                             const DescribeOptions& options) {
  FNIMAGE_TRY(manifest::Document root, store.get_manifest(selector));
  Description description{.root = root};
  if (root.is_index()) {
    description.is_list = true;
    FNIMAGE_TRY(const manifest::Index index, root.index());
    description.annotations = index.annotations;
    ListReader reader(store);
    reader.add(index, std::nullopt, 0);
    description.images = std::move(reader).take();
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
  FNIMAGE_CHECK(options.companions ? add_companions(store, description) : Result<void>());
  return description;
}

}  // namespace fnimage::build
