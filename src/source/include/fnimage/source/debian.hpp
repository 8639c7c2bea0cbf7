// Debian packages as layer content, for any architecture, without running anything: InRelease
// (gpgv) -> Packages (SHA-256) -> .deb (SHA-256), dependency resolution per architecture, and what
// the maintainer scripts would have done, done by us: merged /usr, update-alternatives, ldconfig,
// /etc/passwd and group, CA bundle, dpkg status. Sources: Debian Policy ch. 3, 5-7, deb(5),
// deb-control(5), deb822 sources.list(5), repository format "DebianRepository/Format".
// Thread-safety: one DebianArchive may be used from several threads (platforms are resolved and
// assembled in parallel).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::source {

struct DebianSettings {
  std::string release;   ///< "bookworm"
  std::string mirror{};  ///< base URL (http, https or file); empty = what the host's apt uses for
                         ///< this release
  std::filesystem::path
      keyring{};  ///< empty = the source entry's Signed-By, else the archive keyring
  std::vector<std::string> components{"main"};
  /// Used beside the release itself: RELEASE-updates and RELEASE-security. Leaving "security" out
  /// is a decision: a stale mirror is an error, never a silent downgrade.
  std::vector<std::string> suites{"updates", "security"};
  std::filesystem::path cache_directory;  ///< indexes, .debs and packs; may be deleted at any time
  std::filesystem::path apt_directory = "/etc/apt";  ///< where the host's apt configuration is
  bool offline = false;                              ///< use only what the cache has
};

struct PackageRequest {
  std::vector<std::string> packages;             ///< names, or name=version
  std::map<std::string, std::string> exclude{};  ///< name -> why
  bool essential = false;  ///< also every package marked Essential, as a Debian system has
};

struct DebianPackage {
  std::string name;
  std::string version;
  std::string architecture;  ///< "all" or the platform's
  std::string control;       ///< the paragraph of the Packages index
  std::string url;
  manifest::Digest sha256;
  std::uint64_t size = 0;  ///< of the .deb, bytes
};

struct PackageSet {
  manifest::Platform platform;
  std::vector<DebianPackage>
      packages;  ///< dependencies before dependents where possible, then by name
};

/// A part of the image's file tree that becomes one layer.
struct NamedTree {
  std::string name;  ///< "packages-all" (the same for every architecture) or "packages"
  layer::FileTree tree;
};

/// Removes from a cache_directory what is not what was unpacked there, so that it is unpacked
/// again; returns how many packages that were. For a second try after a verification error.
std::size_t discard_damaged_packages(const std::filesystem::path& cache_directory);

class DebianArchive {
 public:
  /// Downloads and verifies the release files. Errors: unavailable, verification (signature,
  /// expired, wrong hash), not_found (no such release at the mirror), unsupported (gpgv missing,
  /// with the package to install).
  static Result<std::unique_ptr<DebianArchive>> open(const DebianSettings& settings,
                                                     std::shared_ptr<registry::Transport> transport,
                                                     WorkerPool& pool, Diagnostics& diagnostics);
  virtual ~DebianArchive() = default;

  /// Errors: platform_mismatch when the release has no such architecture, not_found for an unknown
  /// package (names the nearest), invalid_input for a set that cannot be installed together, with
  /// the chain of dependencies that led there.
  virtual Result<PackageSet> resolve(const PackageRequest& request,
                                     const manifest::Platform& platform) = 0;

  /// Downloads what the cache lacks and lays the packages out. Layers lowest first.
  /// @param max_mtime times in packages are clamped to it; files made here get it, or 0 when it is
  /// not given.
  virtual Result<std::vector<NamedTree>> assemble(const PackageSet& set,
                                                  std::optional<std::int64_t> max_mtime) = 0;
};

}  // namespace fnimage::source
