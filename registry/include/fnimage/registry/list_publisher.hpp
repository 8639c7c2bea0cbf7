// Changing a list that others may be changing at the same time (publishing rule 7, reliability
// 2.1): every publisher first writes what it wants as a record under a tag of its own,
// "<tag>.fnimage.<platform>", then makes the list of what stands and of the records of all who run,
// puts it, and reads everything again until what stands is what should stand; then it marks its
// record as finished. Whoever writes last has seen every earlier writer, so nobody's platform is
// lost, on any registry. Stores that guard their tags (layout, memory) need no records.
// Thread-safety: may run many times at once, in many processes.
//
// Guaranteed, on a registry that shows to all what it has acknowledged (only a publisher's own
// records may be shown to it late):
// - Once all publishers have ended well, the list has every platform that one of them added, none
//   that one of them removed, and all else that it had. Of two publishers of one platform, or of
//   annotations alone (whichever these are), who run at the same time, one wins, and both leave the
//   list as that one wants.
// - Whoever replaces the list without a record (a plain push, another tool) replaces all of it:
//   publishers who begin afterwards do not bring back anything of before, even when it is the very
//   list that stood there once. One that runs meanwhile may come before or after, and may undo the
//   replacement where the registry ignores If-Match.
// - A publisher that is killed leaves the list whole. When it dies between its put and its next
//   reading another's platform may be missing. The next publisher within leftover_after puts that
//   back, and completes what the dead one had announced; also over a plain push that came between.
// No clock of this machine is asked: leftover_after is measured by the store's own.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/manifest/index.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::registry {

struct ListChange {
  /// Entries with their platforms; the manifests stand in the store already. Attestations
  /// ("unknown/unknown") go with the image that their vnd.docker.reference.digest names.
  std::vector<manifest::Descriptor> add{};
  std::vector<manifest::Platform> remove{};
  manifest::Annotations annotations{};  ///< of the list, set or replaced; OCI lists only
  /// Names of annotations of the list that go; none of those that are set.
  std::vector<std::string> remove_annotations{};
  /// Of a list that is made now; nullopt = Docker when all its images are Docker's, else OCI. A
  /// list that exists keeps its own.
  std::optional<manifest::Format> format{};
};

struct PublishListOptions {
  /// Platforms that others may be publishing now. Those of the list, the usual ones and those that
  /// the registry's tag list shows are looked for anyway.
  std::vector<manifest::Platform> also{};
  bool usual_platforms = true;  ///< look for records of the platforms most clusters are made of
  /// Records of publishers that never finished are leftovers after this time, by the store's clock.
  std::chrono::seconds leftover_after{600};
  bool lint = true;  ///< refuse lists that nodes cannot use (manifest::lint()), warn of others
  std::size_t parallel = 8;  ///< requests in flight at the same time; 1 = on the calling thread
  int max_rounds = 100;
  std::string run_name{};  ///< of this run, unlike any other's; empty = random
  std::function<std::chrono::system_clock::time_point()> now{};  ///< empty = ImageStore::now()
  std::function<void(std::chrono::milliseconds)> sleep{};        ///< empty = really
};

struct PublishedList {
  manifest::Descriptor list;                     ///< as it stands now
  std::optional<manifest::Digest> previous{};    ///< where the tag stood before; nullopt = nowhere
  std::vector<manifest::Platform> superseded{};  ///< own ones that another publisher changed since
  int rounds = 0;                                ///< how often everything was read
};

/// Error: invalid_input when the tag is no list, when the list would mix Docker and OCI images, or
/// be wrong otherwise; platform_mismatch when the change makes it useless for the nodes of a
/// platform;
/// invalid_argument for entries without platform; not_found when a list to remove from is not there
/// or lacks the platform or the annotation; unavailable (retryable) when others kept changing it
/// for max_rounds.
Result<PublishedList> publish_list_change(ImageStore& store, const std::string& tag,
                                          const ListChange& change,
                                          const PublishListOptions& options,
                                          Diagnostics& diagnostics);

/// Removes the records of a list's publishers, for when its tag is removed. Error: those of
/// remove_single_tag().
Result<void> remove_list_records(ImageStore& store, const std::string& tag);

/// Whether a tag is such a record, not an image.
bool is_list_record_tag(std::string_view tag) noexcept;

}  // namespace fnimage::registry
