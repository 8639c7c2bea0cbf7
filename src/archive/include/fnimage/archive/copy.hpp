// copy(): images and lists from any place to any other: registries, layouts, archives, the local
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
#include <fnimage/registry/client.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::archive {

struct CopyOptions {
  /// Further tags at the destination: of the same repository or layout; whole names in a docker
  /// archive.
  std::vector<std::string> tags{};
  registry::ImageShape shape{};  ///< platforms, and other changes; those change digests
  bool referrers = false;    ///< signatures, SBOMs and the like go along, and what refers to those
  bool dry_run = false;      ///< read only, and say what would be sent
  bool repair = false;       ///< look for all blobs of a registry where the tags stand already, too
  std::size_t parallel = 8;  ///< large blobs in flight at the same time
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
  registry::TransferResult transferred;  ///< what was sent, referrers among it
  std::vector<PlannedPart> plan{};       ///< of a dry run, in the order blobs, manifests
};

/// Where images are opened.
struct Places {
  registry::Client& client;
  const std::filesystem::path& local_store;
};

struct CopyItem {
  registry::Location from;
  registry::Location to;
};

/// Copies images, all at the same time where they go into stores; blobs that they share go once. A
/// destination without tag gets the source's, or "latest". Layouts and the local store are made
/// when missing; an archive is written anew, in a directory that exists. Errors: invalid_argument
/// for a destination that is a digest, or a tag that other tools cannot read; unsupported for
/// referrers in a docker archive; those of both sides. After a failure images that were complete by
/// then have their tags, the others have none.
/// @return in the order of the items
Result<std::vector<CopyResult>> copy_all(const std::vector<CopyItem>& items,
                                         const CopyOptions& options, const Places& places,
                                         Diagnostics& diagnostics);

/// copy_all() of one image. On failure no tag has moved.
Result<CopyResult> copy(const registry::Location& from, const registry::Location& to,
                        const CopyOptions& options, const Places& places, Diagnostics& diagnostics);

}  // namespace fnimage::archive
