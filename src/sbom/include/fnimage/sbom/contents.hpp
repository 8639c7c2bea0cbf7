// What an image consists of: the Debian packages that its own database names, whoever built it.
// Thread-safety: value types, and functions that are pure but for the store.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/check/images.hpp>
#include <fnimage/manifest/descriptor.hpp>
#include <fnimage/source/installed.hpp>

namespace fnimage::sbom {

/// os-release(5).
struct Distribution {
  std::string id;           ///< "debian"; empty = the image does not say
  std::string version{};    ///< "12", or the code name where there is no number; may be empty
  std::string full_name{};  ///< "Debian GNU/Linux 12 (bookworm)"; may be empty

  friend bool operator==(const Distribution&, const Distribution&) = default;
};

struct Contents {
  manifest::Descriptor image;  ///< its manifest
  manifest::Platform platform{};
  std::string name;     ///< what the image is called, without registry and tag
  std::string created;  ///< of the image, in UTC: "2023-06-10T12:00:00Z"; 1970 when it does not say
  Distribution distribution{};
  bool has_database = false;  ///< false: the image has no package database, and nothing is known
  source::InstalledPackages installed{};
};

/// Of the files of one image. Errors: invalid_input for a package database that is malformed or too
/// large; those of reading the files.
/// @param name used unless the image has a title of its own.
Result<Contents> read_contents(const check::Image& image, const check::ImageFiles& files,
                               std::string_view name);

/// Reads the layers of images (check::find_images()), shared ones once, and tells what is in them.
/// Says in a warning which image has no package database, and what could not be read.
/// @param directory package databases are unpacked below it for as long as it takes; must exist.
Result<std::vector<Contents>> read_all_contents(registry::ImageStore& store,
                                                const std::vector<check::Image>& images,
                                                std::string_view name,
                                                const std::filesystem::path& directory,
                                                WorkerPool& pool, Diagnostics& diagnostics);

}  // namespace fnimage::sbom
