// The configs of a list's images, for its lint. See list.hpp.
#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/check/list.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/require/lint.hpp>

namespace fnimage::check {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

/// What is known of one entry's image.
struct EntryImage {
  bool is_missing = false;
  std::optional<manifest::Platform> platform{};  ///< of its config
};

bool is_read(const Descriptor& entry) {
  return manifest::is_manifest_type(entry.media_type) &&
         !(entry.platform && entry.platform->os == "unknown");
}

Result<EntryImage> read_entry(registry::ImageStore& store, const Descriptor& entry) {
  auto document = store.get_manifest(entry.digest);
  if (!document && document.error().code() == ErrorCode::not_found) {
    return EntryImage{.is_missing = true};
  }
  FNIMAGE_CHECK(document);
  if (!document->is_image()) {
    return EntryImage{};
  }
  FNIMAGE_TRY(const manifest::ImageManifest image, document->image());
  if (!manifest::is_config_type(image.config.media_type)) {
    return EntryImage{};  // an artifact, whose config is its own affair
  }
  FNIMAGE_TRY(manifest::ImageConfig config, registry::read_config(store, image.config));
  return EntryImage{.platform = std::move(config.platform)};
}

Result<std::map<Digest, EntryImage>> read_entries(registry::ImageStore& store,
                                                  const manifest::Index& index,
                                                  std::size_t parallel) {
  std::map<Digest, EntryImage> images;
  std::map<Digest, const Descriptor*> entries;
  for (const Descriptor& entry : index.manifests) {
    if (is_read(entry) && entries.try_emplace(entry.digest, &entry).second) {
      images.try_emplace(entry.digest);
    }
  }
  if (images.empty()) {
    return images;
  }
  WorkerPool pool(std::clamp<std::size_t>(parallel, 1, images.size()));
  TaskGroup group(pool);
  for (auto& [digest, image] : images) {
    group.run([&store, &to = image, entry = entries.at(digest)]() -> Result<void> {
      FNIMAGE_TRY(to, read_entry(store, *entry));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  return images;
}

Result<std::vector<manifest::Finding>> lint_image(registry::ImageStore& store,
                                                  const Document& document) {
  FNIMAGE_TRY(const manifest::ImageManifest image, document.image());
  std::vector<manifest::Finding> findings = manifest::validate(image);
  if (manifest::is_config_type(image.config.media_type)) {
    FNIMAGE_TRY(const manifest::ImageConfig config, registry::read_config(store, image.config));
    std::vector<manifest::Finding> more = manifest::validate(image, config);
    std::move(more.begin(), more.end(), std::back_inserter(findings));
  }
  return findings;
}

}  // namespace

Result<std::vector<manifest::Finding>> lint_list(const Document& list,
                                                 const manifest::ConfigPlatforms& configs) {
  FNIMAGE_TRY(std::vector<manifest::Finding> findings, manifest::lint(list, configs));
  FNIMAGE_TRY(const manifest::Index index, list.index());
  std::vector<manifest::Finding> needs = require::lint(index);
  // Errors stay in front.
  findings.insert(findings.begin(), std::make_move_iterator(needs.begin()),
                  std::make_move_iterator(needs.end()));
  return findings;
}

Result<std::vector<manifest::Finding>> lint_stored(registry::ImageStore& store,
                                                   const Document& root, std::size_t parallel) {
  if (!root.is_index()) {
    return root.is_image() ? lint_image(store, root) : std::vector<manifest::Finding>();
  }
  FNIMAGE_TRY(const manifest::Index index, root.index());
  FNIMAGE_TRY(const auto images, read_entries(store, index, parallel));
  manifest::ConfigPlatforms configs;
  std::vector<manifest::Finding> findings;
  for (std::size_t i = 0; i < index.manifests.size(); ++i) {
    const auto image = images.find(index.manifests[i].digest);
    if (image == images.end()) {
      continue;
    }
    if (image->second.platform) {
      configs.emplace(image->first, *image->second.platform);
    } else if (image->second.is_missing) {
      manifest::Finding& finding = findings.emplace_back();
      finding.rule = missing_image_rule;
      finding.path = fmt::format("/manifests/{}", i);
      finding.message = fmt::format("{} is not there", image->first.str());
      finding.fix = "push the image, or take the entry out of the list";
    }
  }
  FNIMAGE_TRY(std::vector<manifest::Finding> more, lint_list(root, configs));
  std::move(more.begin(), more.end(), std::back_inserter(findings));
  return findings;
}

}  // namespace fnimage::check
