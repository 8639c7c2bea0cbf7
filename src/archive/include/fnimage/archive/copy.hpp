// copy(): an image or list from any place to any other: registries, layouts, archives, the local
// store. What is copied keeps its digests, byte for byte. Between two stores it is transfer(); here
// is what goes around it: choosing platforms, referrers, several tags, archives, and the short way
// within one repository. Thread-safety: may run several times at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::archive {

struct CopyOptions {
  /// Further tags at the destination: of the same repository or layout; whole names in a docker
  /// archive.
  std::vector<std::string> tags{};
  std::vector<manifest::Platform> platforms{};  ///< empty = all; see select_platforms()
  bool keep_list = false;
  bool referrers = false;  ///< signatures, SBOMs and the like go along, and what refers to those
  bool dry_run = false;    ///< read only, and say what would be sent
};

/// A blob or manifest that a dry run would send.
struct PlannedPart {
  manifest::Descriptor descriptor;
  bool existed = false;  ///< it is at the destination already
};

struct CopyResult {
  manifest::Descriptor root;
  std::vector<std::string> names{};      ///< what the image is called at the destination
  std::size_t referrers = 0;             ///< that went along
  registry::TransferResult transferred;  ///< what was sent; of the image alone, without referrers
  std::vector<PlannedPart> plan{};       ///< of a dry run, in the order blobs, manifests
};

/// Where images are opened.
struct Places {
  registry::Client& client;
  const std::filesystem::path& local_store;
};

/// Copies one image. A destination without tag gets the source's, or "latest". Layouts and the
/// local store are made when missing; an archive is written anew. Errors: invalid_argument for a
/// destination that is a digest; those of both sides. On failure no tag has moved.
Result<CopyResult> copy(const registry::Location& from, const registry::Location& to,
                        const CopyOptions& options, const Places& places, Diagnostics& diagnostics);

}  // namespace fnimage::archive
