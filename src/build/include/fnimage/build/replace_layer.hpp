// Swapping one named layer of an image on every platform, in the store where the image is: a model
// that was trained again gets into the function without its base, its packages or its source at
// hand. Only the new layer, and the configs, manifests and list that name it, are made; what else
// they say stays as it is, whoever wrote it. Thread-safety: may run several times at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::build {

struct LayerReplacement {
  std::string name;  ///< as in the build file's `layers`, or any other that `inspect` shows
  /// The file or directory of its new content; {os}, {arch}, … are filled in.
  std::filesystem::path from;
  std::string to{};  ///< its path in the image; empty = where it is now
  std::optional<layer::Compression> compression{};  ///< as it is now when not given
  /// Seconds; the time of the change and of the files. Not given: files of 1970, and the image
  /// keeps its time.
  std::optional<std::int64_t> source_date_epoch{};
};

/// Where the result goes, in the same store.
struct ReplacementTarget {
  std::vector<std::string> tags;
  /// Each platform's image also gets "<tag>-<platform>".
  bool tag_platforms = false;
};

struct ReplacedImage {
  std::optional<manifest::Platform> platform;  ///< nullopt: not known
  manifest::Digest before;
  manifest::Descriptor after;
  manifest::Descriptor layer;
};

struct ReplaceResult {
  manifest::Descriptor before;  ///< the list, or the image that is in no list
  manifest::Descriptor root;    ///< equal when the layer had this content already
  std::vector<ReplacedImage> images;
};

/// Blobs, configs, manifests, and the list last: on failure the list's tags have not moved; those
/// of platforms may have when it is the list itself that failed. A tag by which the image was
/// selected moves only if it still stands where it stood (already_exists otherwise).
/// Errors: not_found when the image or one of its platforms has no layer of that name (names those
/// it has), invalid_argument when the layer's path is not known and not given, unsupported for
/// lists in lists, those of reading the files and of the store.
Result<ReplaceResult> replace_layer(registry::ImageStore& store, const registry::Selector& selector,
                                    const LayerReplacement& replacement,
                                    const ReplacementTarget& target,
                                    const Environment& environment);

}  // namespace fnimage::build
