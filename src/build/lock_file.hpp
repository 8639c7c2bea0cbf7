// fnimage.lock: the packages of all platforms, each with its version and SHA-256, as JSON with a
// line for each package, so that a change of versions reads well in a review. No mirror's address
// is in it: where a suite's packages come from is asked of the host or the build file when they are
// fetched. Private to build. Thread-safety: value types, pure functions but for reading the file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/source/debian.hpp>

namespace fnimage::build {

/// What was asked for; a lock holds for exactly this.
struct LockedRequest {
  std::string release;
  std::string snapshot{};
  std::vector<std::string> components{};
  std::vector<std::string> suites{};
  std::vector<std::string> repositories{};  ///< "bookworm-backports main": suite and components
  bool essential = false;
  bool recommends = false;
  std::vector<std::string> packages{};  ///< sorted; local .debs as in the build file
  std::vector<std::string> exclude{};   ///< sorted

  static LockedRequest of(const DebianBase& base, const source::PackageRequest& request);
  friend bool operator==(const LockedRequest&, const LockedRequest&) = default;
};

struct PackageLock {
  LockedRequest request;
  std::vector<source::PackageSet> sets;  ///< one for each platform, packages by name

  [[nodiscard]] const source::PackageSet* find(const manifest::Platform& platform) const;
};

/// What a lock is called in a bundle.
inline constexpr const char* bundled_lock_name = "fnimage.lock";

/// The text of a lock. Equal locks have equal bytes.
std::string emit_lock(const PackageLock& lock);
/// Error: invalid_input with the JSON path; what a hostile lock says is bounded and never leaves
/// the mirror's or the cache's directories.
Result<PackageLock> parse_lock(std::string_view text, std::string_view what);
/// nullopt when there is no such file.
Result<std::optional<PackageLock>> read_lock(const std::filesystem::path& path);

struct FoundLock {
  PackageLock lock;
  std::string name;  ///< for messages
};
/// The lock that a build uses: the build file's, or else the bundle's. Errors: not_found when there
/// is none and one is demanded or a bundle is named, those of read_lock().
Result<std::optional<FoundLock>> find_lock(const BuildOptions& options);

/// Error: invalid_input that names what the build file asks for and the lock was not made with, or
/// the other way round.
Result<void> require_current(const PackageLock& lock, const LockedRequest& request,
                             const std::string& lock_name);

}  // namespace fnimage::build
