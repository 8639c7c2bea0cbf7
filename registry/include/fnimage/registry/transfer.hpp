// transfer(): the one way an image gets from a store to another; push, pull, copy, `build -o` and
// `manifest push` are this. Order (publishing rule 6): all blobs, child manifests, the list; each
// goes under its tags at once, so a tag never points to something incomplete, and tags move in the
// last two steps, the list's in the very last. Received manifests are passed on byte for byte.
// Thread-safety: may run several times at once, on the same stores too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/registry/tagging.hpp>

namespace fnimage::registry {

struct TransferOptions {
  std::vector<std::string>
      tags{};  ///< tags that the root gets at the destination, in this order, last of all
  /// Also tag each platform's manifest "<tag>-<platform>" at the destination, before the list's own
  /// tags.
  bool tag_platforms = false;
  std::size_t parallel = 8;  ///< large blobs in flight at the same time
};

struct TransferResult {
  manifest::Descriptor root;
  std::uint64_t blobs_uploaded = 0;
  std::uint64_t blobs_mounted = 0;
  std::uint64_t blobs_existed = 0;
  std::uint64_t bytes_uploaded = 0;
  std::uint64_t manifests_uploaded = 0;
  /// The root's tags at a registry that did not stand where they should, and where they stood.
  std::vector<MovedTag> moved{};

  /// Adds the counts of another; the root stays.
  TransferResult& operator+=(const TransferResult& other) noexcept {
    blobs_uploaded += other.blobs_uploaded;
    blobs_mounted += other.blobs_mounted;
    blobs_existed += other.blobs_existed;
    bytes_uploaded += other.bytes_uploaded;
    manifests_uploaded += other.manifests_uploaded;
    return *this;
  }
};

/// Copies the image or list `selector` of `from`, with everything it needs, to `to`. Each distinct
/// blob goes at most once. When all tags of a registry stand where they should, nothing is sent.
/// Otherwise a child that the registry has is not sent, but its blobs are looked for and those that
/// the registry has lost are sent; a child that only `to` has is taken as it is, so a list made of
/// pushed images needs only itself. Nested lists deeper than 8 and cycles are invalid_input. On
/// failure the root's tags have not moved; those of platforms may have when it is the list itself
/// that failed. What was sent stays and is found by the next run.
Result<TransferResult> transfer(ImageStore& from, const Selector& selector, ImageStore& to,
                                const TransferOptions& options, Diagnostics& diagnostics);

/// One image of transfer_all() and where it goes.
struct Destination {
  Selector selector;            ///< of the common source
  ImageStore* store = nullptr;  ///< not owned
  std::vector<std::string> tags{};
  bool tag_platforms = false;
  /// Look for all blobs of a registry where the tags stand already, too: it may have lost some.
  bool repair = false;
};

/// transfer() of many images or to many places at once. Each distinct blob is sent to each registry
/// once; other repositories of that registry get it mounted from the first. Nothing is sent before
/// every manifest has been read and checked; then each manifest goes as soon as what it needs is
/// there. Results are in the order of the destinations. After a failure nothing more begins; images
/// that were complete by then have their tags, the others have none.
/// @param parallel large blobs in flight at the same time
Result<std::vector<TransferResult>> transfer_all(ImageStore& from,
                                                 const std::vector<Destination>& destinations,
                                                 std::size_t parallel, Diagnostics& diagnostics);

}  // namespace fnimage::registry
