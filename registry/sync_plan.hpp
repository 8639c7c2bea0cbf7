// What is to be done about one repository of a sync: both sides are listed and compared, and what
// refers to the images is looked for. Reads only. Thread-safety: a function; the stores are read by
// several threads.
#pragma once

#include <string>
#include <vector>

#include <fnimage/base/worker_pool.hpp>
#include <fnimage/registry/referrers.hpp>
#include <fnimage/registry/sync.hpp>

namespace fnimage::registry {

/// A manifest that comes along, with its tags.
struct SyncRoot {
  manifest::Descriptor descriptor;
  std::vector<SyncedTag> moved{};   ///< tags that it gets
  std::vector<std::string> same{};  ///< tags that it has there already
  bool is_untagged = false;
  ReferrerMap referrers{};  ///< of it and its images, as far as they are missing there

  /// Itself is there already: at most what refers to it is sent.
  [[nodiscard]] bool stands() const { return moved.empty() && !is_untagged; }
};

/// For messages: "team/app:v1, latest".
std::string sync_name(const std::string& repository, const SyncRoot& root);

struct SyncPlan {
  std::vector<SyncRoot> roots{};
  std::vector<SyncedTag> kept{};
  std::vector<std::string> removed{};
  std::size_t same = 0;
  std::vector<SyncFailure> failures{};  ///< of single tags
};

/// Error: when nothing is known of the repository.
Result<SyncPlan> make_sync_plan(const SyncItem& item, OpenRepository& from, OpenRepository& to,
                                const SyncOptions& options, WorkerPool& pool);

}  // namespace fnimage::registry
