#include "page/summaries.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace fnimage::server {

namespace {

using manifest::Descriptor;
using manifest::Digest;

constexpr std::size_t platforms_in_row = 6;

void add_platform(ImageSummary& summary, const std::string& platform) {
  if (summary.platforms.size() < platforms_in_row) {
    summary.platforms.push_back(platform);
  } else {
    ++summary.more_platforms;
  }
}

std::uint64_t size_of_new_blobs(const Descriptor& descriptor, const manifest::ImageManifest& image,
                                std::set<Digest>& seen) {
  std::uint64_t size = 0;
  const auto add = [&](const Descriptor& blob) {
    size += seen.insert(blob.digest).second ? blob.size : 0;
  };
  add(descriptor);
  add(image.config);
  std::ranges::for_each(image.layers, add);
  return size;
}

Result<void> sum_up_list(Repository& repository, const ReadManifest& root, ReadBudget& budget,
                         ImageSummary& summary) {
  summary.kind = "list";
  std::set<Digest> seen;
  std::uint64_t size = root.stored->descriptor.size;
  bool is_whole = true;
  for (const Descriptor& entry : root.list->manifests) {
    add_platform(summary, ImageBranch{.descriptor = entry}.platform());
    is_whole = is_whole && budget.manifests > 0 && budget.bytes > 0;
    if (!is_whole) {
      continue;
    }
    FNIMAGE_TRY(const ReadManifest child, read_manifest(repository, entry.digest, budget));
    is_whole = child.image.has_value();
    size += child.image ? size_of_new_blobs(entry, *child.image, seen) : 0;
  }
  if (is_whole) {
    summary.size = size;
  }
  return {};
}

void sum_up_image(Repository& repository, const ReadManifest& root, ImageSummary& summary) {
  const Descriptor& descriptor = root.stored->descriptor;
  const manifest::ImageManifest& image = *root.image;
  summary.kind = "image";
  summary.size = size_of_image(descriptor, image);
  if (!manifest::is_config_type(image.config.media_type) || !image.artifact_type.empty()) {
    summary.kind = image.artifact_type.empty() ? image.config.media_type : image.artifact_type;
    return;
  }
  const auto config = read_image_config(repository, image.config);
  if (config && config->has_platform()) {
    add_platform(summary, config->platform.str());
  }
}

}  // namespace

Result<std::shared_ptr<const ImageSummary>> Summaries::of_tag(Repository& repository,
                                                              const std::string& tag,
                                                              ReadBudget& budget) {
  auto summary = std::make_shared<ImageSummary>();
  if (budget.manifests == 0 || budget.bytes == 0) {
    return summary;
  }
  FNIMAGE_TRY(const auto stored, repository.manifest(tag));
  if (!stored) {
    summary->problem = "damaged";
    return summary;
  }
  summary->digest = stored->descriptor.digest.str();
  const std::string key = repository.name() + "@" + summary->digest;
  if (auto kept = kept_.find(key)) {
    return kept;
  }
  FNIMAGE_TRY(const ReadManifest root,
              read_manifest(repository, stored->descriptor.digest, budget));
  if (root.list) {
    FNIMAGE_CHECK(sum_up_list(repository, root, budget, *summary));
  } else if (root.image) {
    sum_up_image(repository, root, *summary);
  } else {
    summary->problem = root.problem;
  }
  if (summary->size) {  // what is missing may come
    kept_.put(key, summary);
  }
  return summary;
}

}  // namespace fnimage::server
