// What a tag or digest stands for, as far as a page shows it: the list, its images, their layers
// and configs. What is missing or damaged is a part of the answer, not an error. Bounded: so many
// images, and so many bytes of manifests are read for one page. Thread-safety: values; functions
// that are pure but for the repository.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/manifest/image_manifest.hpp>
#include <fnimage/manifest/index.hpp>

#include "store/store.hpp"

namespace fnimage::server {

/// What may be read for one page.
struct ReadBudget {
  std::size_t manifests = 3000;
  std::size_t bytes = std::size_t{32} << 20U;

  /// False = it is used up.
  bool take(std::size_t size);
};

/// A manifest or list that is in the repository, or why it cannot be shown.
struct ReadManifest {
  std::optional<StoredManifest> stored{};
  std::optional<manifest::Index> list{};
  std::optional<manifest::ImageManifest> image{};
  std::string problem{};  ///< empty = there is a list or an image
};

/// One image of a list, or the only one.
struct ImageBranch {
  manifest::Descriptor descriptor;  ///< as the list has it
  ReadManifest manifest{};
  std::optional<manifest::ImageConfig> config{};
  std::string config_problem{};        ///< of an image's config that cannot be shown
  std::vector<std::string> missing{};  ///< digests of config and layers, the first ones
  std::vector<manifest::Descriptor> referrers{};
  std::uint64_t size = 0;    ///< bytes of manifest, config and layers
  std::uint64_t shared = 0;  ///< of them, in layers that other images of the list have, too

  /// "linux/ppc64le", "attestation", "no platform"
  [[nodiscard]] std::string platform() const;
};

struct ImageTree {
  ReadManifest root;
  std::vector<ImageBranch> images{};  ///< those that the page shows
  std::size_t first = 0;              ///< the place of the first of them in the list
  std::size_t count = 0;              ///< of the list
  std::uint64_t size = 0;             ///< bytes, each blob counted once
  std::uint64_t shared = 0;           ///< bytes in layers that several images have
  std::uint64_t largest = 0;          ///< size of the largest image
  bool is_whole = true;               ///< sizes are of all images; else of those that were read
  std::map<manifest::Digest, std::size_t> uses{};  ///< in how many images each layer is
  std::vector<manifest::Descriptor> referrers{};

  [[nodiscard]] bool is_list() const { return root.list.has_value(); }
};

/// Images that one page shows.
inline constexpr std::size_t images_on_page = 40;

/// Nullopt = there is no such tag or manifest. @param first see ImageTree. Errors: those of the
/// repository.
Result<std::optional<ImageTree>> read_tree(Repository& repository,
                                           const registry::Selector& selector, std::size_t first);

/// One manifest. Errors: those of the repository.
Result<ReadManifest> read_manifest(Repository& repository, const registry::Selector& selector,
                                   ReadBudget& budget);

/// An image's config, verified. Errors: not_found, verification, invalid_input (too large to be
/// shown, or none), those of the repository.
Result<manifest::ImageConfig> read_image_config(Repository& repository,
                                                const manifest::Descriptor& config);

/// Bytes of manifest, config and layers.
std::uint64_t size_of_image(const manifest::Descriptor& descriptor,
                            const manifest::ImageManifest& image);

}  // namespace fnimage::server
