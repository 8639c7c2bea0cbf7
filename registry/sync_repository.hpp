// One repository of a sync: the plan carried out, or for a dry run told. Thread-safety: one
// RepositorySync belongs to one thread; several may run at once.
#pragma once

#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/registry/sync.hpp>

#include "shared_blobs.hpp"
#include "sync_plan.hpp"

namespace fnimage::registry {

/// What the repositories of one run have in common.
struct SyncRun {
  const SyncOptions& options;
  RepositorySet& to;
  Diagnostics& diagnostics;
  SharedBlobs blobs{};
  std::mutex mutex{};
  std::set<manifest::Digest>
      foreseen{};  ///< guarded by mutex: large blobs that a dry run would send
};

class RepositorySync {
 public:
  RepositorySync(const SyncItem& item, SyncRun& run) : item_(item), run_(run) {}

  /// What fails is in the result. Error: cancelled.
  Result<SyncedRepository> go();

 private:
  using Roots = std::span<const SyncRoot>;

  Result<void> attempt();
  Result<std::unique_ptr<OpenRepository>> open_destination();
  Result<void> carry_out(const SyncPlan& plan);
  Result<void> send_all(Roots roots);
  Result<void> send_each(Roots roots, std::size_t left);
  Result<void> send(Roots roots);
  Result<void> send_referrers(const SyncRoot& root);
  void note_sent(const SyncRoot& root);
  Result<void> remove(const std::vector<std::string>& tags);
  Result<void> foresee(const SyncPlan& plan, WorkerPool& pool);
  Result<void> foresee(const SyncRoot& root);
  void foresee_blob(const manifest::Descriptor& blob, bool is_there);
  /// Error: when it is no failure of this alone.
  Result<void> note_failure(std::string what, Error error);

  const SyncItem& item_;
  SyncRun& run_;
  std::unique_ptr<OpenRepository> from_;
  std::unique_ptr<OpenRepository> to_;
  std::unique_ptr<SharingStore> sharing_;
  std::set<manifest::Digest> referrers_;
  std::mutex mutex_;
  SyncedRepository result_;              // guarded by mutex_ in a dry run
  std::set<manifest::Digest> foreseen_;  // guarded by mutex_: blobs that it would get
  std::optional<ErrorCode> last_failure_{};
  int failures_in_a_row_ = 0;
};

}  // namespace fnimage::registry
