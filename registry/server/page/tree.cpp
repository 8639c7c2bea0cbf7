#include "page/tree.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fnimage/base/bytes.hpp>
#include <fnimage/manifest/document.hpp>

namespace fnimage::server {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::ImageManifest;

constexpr std::size_t largest_config = std::size_t{1} << 20U;
constexpr std::string_view out_of_budget = "not read: the list is too large to be shown whole";

Result<std::string> read_small_blob(Repository& repository, const Descriptor& blob) {
  FNIMAGE_TRY(const auto file, repository.blob(blob.digest));
  if (!file) {
    return fail(ErrorCode::not_found, "missing here");
  }
  const std::uint64_t size = (*file)->size();
  if (size > largest_config) {
    return fail(ErrorCode::invalid_input, "too large to be shown");
  }
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const MutableBytes rest(reinterpret_cast<std::byte*>(bytes.data()) + done, bytes.size() - done);
    FNIMAGE_TRY(const std::size_t count, (*file)->read(done, rest));
    if (count == 0) {
      break;
    }
    done += count;
  }
  auto hasher = manifest::Hasher::for_digest(blob.digest);
  hasher.update(as_bytes(bytes));
  if (done < bytes.size() || hasher.finish() != blob.digest) {
    return fail(ErrorCode::verification, "damaged here");
  }
  return bytes;
}

/// Layers of one image, each once.
std::map<Digest, std::uint64_t> layers_of(const ImageManifest& image) {
  std::map<Digest, std::uint64_t> layers;
  for (const Descriptor& layer : image.layers) {
    layers.emplace(layer.digest, layer.size);
  }
  return layers;
}

/// What is added up over all images of a list.
class Sizes {
 public:
  explicit Sizes(ImageTree& tree) : tree_(tree) {}

  void add(const Descriptor& descriptor, const ImageManifest& image) {
    add_blob(descriptor.digest, descriptor.size);
    add_blob(image.config.digest, image.config.size);
    for (const auto& [digest, size] : layers_of(image)) {
      add_blob(digest, size);
      if (++tree_.uses[digest] == 2) {
        tree_.shared += size;
      }
    }
    tree_.largest = std::max(tree_.largest, size_of_image(descriptor, image));
  }
  void add_blob(const Digest& digest, std::uint64_t size) {
    tree_.size += seen_.insert(digest).second ? size : 0;
  }

 private:
  ImageTree& tree_;
  std::set<Digest> seen_{};
};

void parse_stored(ReadManifest& read) {
  const auto document = manifest::Document::from_bytes(
      *read.stored->bytes, read.stored->descriptor.media_type, "manifest");
  if (!document) {
    read.problem = document.error().message();
  } else if (document->is_index()) {
    auto list = document->index();
    list ? void(read.list = std::move(*list)) : void(read.problem = list.error().message());
  } else {
    auto image = document->image();
    image ? void(read.image = std::move(*image)) : void(read.problem = image.error().message());
  }
}

/// Blobs that the repository does not have, or that have another size there.
std::vector<std::string> missing_blobs(const Repository& repository, const ImageManifest& image) {
  constexpr std::size_t most_asked = 1000;
  constexpr std::size_t most_named = 5;
  std::vector<std::string> missing;
  std::size_t asked = 0;
  const auto look_at = [&](const Descriptor& blob) {
    const bool is_elsewhere = !blob.urls.empty();
    if (++asked <= most_asked && missing.size() < most_named && !is_elsewhere &&
        repository.blob_size(blob.digest) != blob.size) {
      missing.push_back(blob.digest.str());
    }
  };
  look_at(image.config);
  std::ranges::for_each(image.layers, look_at);
  return missing;
}

/// Config and referrers, which only images that are shown need.
Result<void> complete_branch(Repository& repository, const ImageTree& tree, ImageBranch& branch) {
  FNIMAGE_TRY(branch.referrers, repository.referrers(branch.descriptor.digest));
  const auto& image = branch.manifest.image;
  if (!image) {
    return {};
  }
  branch.size = size_of_image(branch.descriptor, *image);
  branch.missing = missing_blobs(repository, *image);
  for (const auto& [digest, size] : layers_of(*image)) {
    const auto uses = tree.uses.find(digest);
    branch.shared += uses != tree.uses.end() && uses->second > 1 ? size : 0;
  }
  if (manifest::is_config_type(image->config.media_type)) {
    auto config = read_image_config(repository, image->config);
    config ? void(branch.config = std::move(*config))
           : void(branch.config_problem = config.error().message());
  }
  return {};
}

/// Reads all images of a list, and keeps those that are shown.
Result<void> read_images(Repository& repository, ImageTree& tree, Sizes& sizes,
                         ReadBudget& budget) {
  const std::vector<Descriptor>& entries = tree.root.list->manifests;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool is_shown = i >= tree.first && i < tree.first + images_on_page;
    ReadManifest read;
    if (budget.manifests == 0 || budget.bytes == 0) {
      tree.is_whole = false;
      read.problem = out_of_budget;
    } else {
      FNIMAGE_TRY(read, read_manifest(repository, entries[i].digest, budget));
    }
    if (read.image) {
      sizes.add(entries[i], *read.image);
    } else {
      tree.is_whole = false;
    }
    if (is_shown) {
      tree.images.push_back({.descriptor = entries[i], .manifest = std::move(read)});
    }
  }
  return {};
}

}  // namespace

bool ReadBudget::take(std::size_t size) {
  const bool is_enough = manifests > 0 && bytes > 0;
  manifests -= manifests > 0 ? 1 : 0;
  bytes -= std::min(bytes, size);
  return is_enough;
}

std::string ImageBranch::platform() const {
  constexpr const char* reference_type = "vnd.docker.reference.type";
  if (descriptor.annotations.contains(reference_type)) {
    return "attestation";
  }
  if (descriptor.platform) {
    return descriptor.platform->str();
  }
  if (config && config->has_platform()) {
    return config->platform.str();
  }
  return "no platform";
}

std::uint64_t size_of_image(const Descriptor& descriptor, const ImageManifest& image) {
  std::uint64_t size = descriptor.size + image.config.size;
  for (const auto& [digest, layer_size] : layers_of(image)) {
    size += layer_size;
  }
  return size;
}

Result<manifest::ImageConfig> read_image_config(Repository& repository, const Descriptor& config) {
  FNIMAGE_TRY(const std::string bytes, read_small_blob(repository, config));
  return manifest::ImageConfig::parse(bytes);
}

Result<ReadManifest> read_manifest(Repository& repository, const registry::Selector& selector,
                                   ReadBudget& budget) {
  ReadManifest read;
  FNIMAGE_TRY(read.stored, repository.manifest(selector));
  if (!read.stored) {
    budget.take(0);
    read.problem = "missing here, or damaged";
    return read;
  }
  budget.take(read.stored->bytes->size());
  parse_stored(read);
  return read;
}

Result<std::optional<ImageTree>> read_tree(Repository& repository,
                                           const registry::Selector& selector, std::size_t first) {
  ReadBudget budget;
  ImageTree tree{.root = {}};
  FNIMAGE_TRY(tree.root, read_manifest(repository, selector, budget));
  if (!tree.root.stored) {
    return std::nullopt;
  }
  const Descriptor root = tree.root.stored->descriptor;
  Sizes sizes(tree);
  sizes.add_blob(root.digest, root.size);
  if (tree.root.list) {
    tree.count = tree.root.list->manifests.size();
    tree.first = first < tree.count ? first : 0;
    FNIMAGE_CHECK(read_images(repository, tree, sizes, budget));
    FNIMAGE_TRY(tree.referrers, repository.referrers(root.digest));
  } else if (tree.root.image) {
    tree.count = 1;
    sizes.add(root, *tree.root.image);
    tree.images.push_back({.descriptor = root, .manifest = tree.root});
  }
  for (ImageBranch& branch : tree.images) {
    FNIMAGE_CHECK(complete_branch(repository, tree, branch));
  }
  return tree;
}

}  // namespace fnimage::server
