// fnimage.lock: the Debian packages of every platform, resolved at once and kept with version and
// SHA-256, so that builds stay the same until somebody decides otherwise; and what there is to say
// about such a set: what changed, what differs between platforms, what costs how much.
// Thread-safety: pure functions but for the caches and files named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/source/debian.hpp>

namespace fnimage::build {

struct LockOptions {
  std::filesystem::path lock_file;  ///< see lock_path()
  bool write = true;                ///< false: only find out what would be written
  /// A directory that gets the .debs and a copy of the lock, for sites without a mirror. A lock
  /// that is there and made for this build file is bundled as it is.
  std::filesystem::path bundle{};
  bool offline = false;  ///< use only what the cache has
};

/// A package that is not what it was.
struct LockChange {
  std::string name;
  std::string from;                      ///< version; empty = new
  std::string to;                        ///< version; empty = gone
  std::vector<std::string> platforms{};  ///< where
};

/// A package that is not the same everywhere.
struct PackageSkew {
  std::string name;
  std::vector<std::pair<std::string, std::string>>
      versions;          ///< platform and version; only the platforms that have it
  bool partial = false;  ///< some platforms do not have it at all
  /// The versions are builds of one source version (+b1): what differs is the compiler's day.
  bool rebuild = false;
};

struct LockResult {
  std::vector<source::PackageSet> sets;  ///< by the build file's order of platforms
  std::vector<LockChange> changes;       ///< against the lock that was there
  std::vector<PackageSkew> skew;         ///< between platforms
  bool changed = false;                  ///< the file was, or would be, written
};

/// The lock of a build file: fnimage.yaml -> fnimage.lock beside it.
std::filesystem::path lock_path(const BuildSpec& spec);

/// Resolves the packages of every platform of the build file, and writes the lock. Errors:
/// invalid_argument for a base that is not assembled from packages, those of DebianArchive.
Result<LockResult> lock(const BuildSpec& spec, const LockOptions& options,
                        const Environment& environment);

/// Why a package is there and what it costs.
struct PackageReason {
  std::string name;
  std::string version;
  std::uint64_t size = 0;            ///< of the .deb, bytes
  std::uint64_t installed_size = 0;  ///< bytes
  std::vector<std::string> chain{};  ///< from what was asked for to what brought it; empty = asked
  /// What excluding it would save, in installed bytes: itself and all that nothing else needs.
  std::uint64_t saves = 0;
  std::size_t saves_packages = 0;  ///< how many packages that are, itself included
};

/// The packages of a set that was just resolved, most to be saved first.
std::vector<PackageReason> explain(const source::PackageSet& set);

}  // namespace fnimage::build
