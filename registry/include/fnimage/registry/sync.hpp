// sync(): many repositories from one place to another, so that nothing is missing there: tags, what
// has no tag, and what refers to it. Each repository goes by transfer() (transfer.hpp): digests
// stay, what is there is not sent, tags move last. A run that was interrupted is begun anew and
// finds what is there; a tag that stands costs one HEAD at a registry. A repository or tag that
// fails does not stop the others. Thread-safety: may run several times at once, to different
// repositories.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/registry/repository_set.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::registry {

struct SyncOptions {
  std::vector<std::string> tags{};     ///< patterns ('*' = anything) of tags to take; empty = all
  std::vector<std::string> exclude{};  ///< patterns of tags to leave out
  bool referrers = true;               ///< signatures, SBOMs and whatever else refers to an image
  bool overwrite = true;               ///< tags that stand for something else there are moved
  /// Tags are removed that the source does not have any more; see SyncedRepository::removed.
  bool remove = false;
  bool repair = false;   ///< look for all content although the tags stand, and send what is lost
  bool dry_run = false;  ///< read only, and say what would be done
  std::size_t jobs = 4;  ///< repositories at the same time
  std::size_t parallel = 8;  ///< large blobs of one repository at the same time
  std::stop_token stop{};
};

/// A repository to bring along. Of several items no two may go to the same repository.
struct SyncItem {
  RepositorySet* from = nullptr;  ///< not owned
  std::string from_name;
  std::string to_name;
  std::vector<Selector> only{};  ///< these alone; empty = all of it
  /// It was found in a listing: when it has gone, or holds nothing, that is no failure.
  bool is_listed = false;
};

struct SyncedTag {
  std::string tag;
  manifest::Digest digest;                     ///< at the source; of one removed: there
  std::optional<manifest::Digest> previous{};  ///< where it stood at the destination
};

struct SyncFailure {
  std::string what;  ///< "team/app:v1 to registry.example/team/app"
  Error error;
};

struct SyncedRepository {
  std::string from;  ///< as RepositorySet::describe() has it
  std::string to;
  std::vector<SyncedTag> moved{};  ///< new ones (without `previous`) and those that stood elsewhere
  std::vector<SyncedTag> kept{};   ///< stand elsewhere, and are not overwritten
  /// Tags that the source does not have. Nothing is removed when the source's listing failed or is
  /// empty, when anything of the repository failed, or when not all of it was asked for.
  std::vector<SyncedTag> removed{};
  std::size_t same = 0;       ///< tags that stood already
  std::size_t untagged = 0;   ///< manifests without a tag that were sent
  std::size_t referrers = 0;  ///< that were sent
  std::uint64_t blobs_uploaded = 0;
  std::uint64_t blobs_mounted = 0;
  std::uint64_t blobs_existed = 0;
  std::uint64_t bytes_uploaded = 0;  ///< of blobs
  std::vector<SyncFailure> failures{};

  /// Nothing was to be done, or would be.
  [[nodiscard]] bool is_same() const;
};

/// All repositories together; members as there.
struct SyncTotals {
  std::size_t repositories = 0;
  std::size_t created = 0;  ///< tags that are new at the destination
  std::size_t moved = 0;    ///< tags that stood elsewhere
  std::size_t kept = 0;
  std::size_t removed = 0;
  std::size_t same = 0;
  std::size_t untagged = 0;
  std::size_t referrers = 0;
  std::uint64_t blobs_uploaded = 0;
  std::uint64_t blobs_mounted = 0;
  std::uint64_t blobs_existed = 0;
  std::uint64_t bytes_uploaded = 0;
  std::size_t failures = 0;
};

/// Of a dry run: what would be done.
struct SyncResult {
  std::vector<SyncedRepository> repositories{};  ///< in the order of the items
  [[nodiscard]] SyncTotals totals() const;
};

/// Errors: cancelled; invalid_argument for items that collide. What fails otherwise is in the
/// result.
Result<SyncResult> sync(const std::vector<SyncItem>& items, RepositorySet& to,
                        const SyncOptions& options, Diagnostics& diagnostics);

/// Items for all repositories of a place that a pattern matches, under the same names less
/// `strip`, a beginning that all of them must have. Errors: those of names(); not_found when there
/// are none; invalid_argument for a name that does not begin so.
Result<std::vector<SyncItem>> sync_items(RepositorySet& from, const std::string& pattern,
                                         const std::string& strip = {});

}  // namespace fnimage::registry
