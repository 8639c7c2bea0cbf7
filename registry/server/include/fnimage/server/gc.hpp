// Garbage of a registry's store: what nobody can ask for any more. A repository's index.json is the
// truth: its entries, what they name (children of lists, configs, layers), and so on, are kept;
// other blobs go when they are older than a grace time. Everything goes through the files, so that
// any process may collect while a server serves the directory, and while others write to its
// layouts as fnimage does (oci_layout.hpp): each repository is locked for milliseconds at a time.
// Tools that know no locks are covered by the grace time alone.
//
// The grace time is for what was put and is not named yet. A server, and fnimage itself, make files
// young again when they tell somebody that these are there (blob_age.hpp), and a server checks what
// a manifest names in the step that puts it. Thread-safety: pure but for the files.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

struct GarbageCounts {
  std::size_t manifests = 0;  ///< entries of index.json that no tag reaches
  std::size_t blobs = 0;      ///< files that nothing names, also those of former manifests
  std::size_t leftovers = 0;  ///< temporary files of killed processes, uploads that are over
  /// Freed on the disk: a file that another repository has, too, frees nothing.
  std::uint64_t bytes = 0;

  GarbageCounts& operator+=(const GarbageCounts& other) noexcept;
  friend bool operator==(const GarbageCounts&, const GarbageCounts&) = default;
};

/// One thing that goes, or would go.
struct GarbageItem {
  enum class Kind : std::uint8_t { manifest, blob, temporary, upload };
  Kind kind = Kind::blob;
  std::string repository{};  ///< empty for an upload
  std::string name{};        ///< a digest, a file's name, an upload's id
  std::uint64_t bytes = 0;   ///< that it frees
};

struct CollectedRepository {
  std::string name;
  GarbageCounts counts;
  std::string problem{};  ///< why the rest, or all, was left alone; empty = nothing
};

struct GcOptions {
  /// Less than registry::smallest_grace only where nobody writes.
  std::chrono::milliseconds grace = std::chrono::hours(1);
  /// Also manifests that no tag reaches: neither itself, nor through a list, nor as referrer of
  /// something that a tag reaches.
  bool removes_untagged = false;
  bool is_dry_run = false;  ///< nothing is changed, and nothing is locked
  /// Takes half of a processor at most, for the sake of others on this machine.
  bool is_gentle = false;
  /// Told of each thing that goes.
  std::function<void(const GarbageItem&)> found{};
  /// Told of each repository that was gone through.
  std::function<void(const CollectedRepository&)> done{};
  std::stop_token stop{};  ///< ends soon after it is asked to; the report says what was done
};

struct GcReport {
  GarbageCounts counts;
  std::size_t repositories = 0;  ///< that were gone through
  std::size_t skipped = 0;       ///< of these: with a problem
};

/// Collects in all repositories of a store. One that is damaged, so that it is not known what it
/// needs, or that cannot be read or written, is left alone, and `done` is told. Errors: not_found
/// when there is no such directory, those of the file system.
Result<GcReport> collect_garbage(const std::filesystem::path& store, const GcOptions& options);

/// When a server collects by itself.
struct GcSchedule {
  std::chrono::milliseconds every = std::chrono::hours(24);
  GcOptions options{};  ///< the functions are called on a thread of the server's; `stop` is its own
  /// Told of each collection.
  std::function<void(const Result<GcReport>&)> collected{};
};

}  // namespace fnimage::server
