// Which Debian packages an image of any architecture needs: InRelease (gpgv) -> Packages (SHA-256)
// -> dependency resolution per architecture. What the packages become is package_pool.hpp's.
// Sources: Debian Policy ch. 3, 5-7, deb-control(5), deb822 sources.list(5), repository format
// "DebianRepository/Format". Thread-safety: one DebianArchive may be used from several threads
// (platforms are resolved in parallel).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/manifest/platform.hpp>
#include <fnimage/registry/transport.hpp>

namespace fnimage::source {

/// A further signed archive: backports, a vendor's, a site's own.
struct DebianRepository {
  std::string url;    ///< base URL (http, https or file)
  std::string suite;  ///< "bookworm-backports"
  std::vector<std::string> components{"main"};
  std::filesystem::path keyring{};  ///< empty = the archive keyring
};

/// In URLs it stands for DebianSettings::snapshot.
inline constexpr std::string_view snapshot_placeholder = "{snapshot}";

/// A snapshot's time, "20260131T000000Z", as seconds since 1970; nullopt when it is no such time.
std::optional<std::int64_t> parse_snapshot(std::string_view text);

struct DebianSettings {
  std::string release;   ///< "bookworm"
  std::string mirror{};  ///< base URL (http, https or file); empty = what the host's apt uses for
                         ///< this release
  std::filesystem::path
      keyring{};  ///< of the mirror; empty = the source entry's Signed-By, else the archive keyring
  std::vector<std::string> components{"main"};
  /// Used beside the release itself: RELEASE-updates and RELEASE-security. Leaving "security" out
  /// is a decision: a stale mirror is an error, never a silent downgrade.
  std::vector<std::string> suites{"updates", "security"};
  std::vector<DebianRepository> repositories{};
  /// A time, "20260131T000000Z": {snapshot} in URLs becomes it, and release files are judged as of
  /// then. Empty = now.
  std::string snapshot{};
  std::filesystem::path directory{};      ///< what the paths of local_debs are relative to
  std::filesystem::path cache_directory;  ///< indexes, .debs and packs; may be deleted at any time
  std::filesystem::path apt_directory = "/etc/apt";  ///< where the host's apt configuration is
  std::filesystem::path bundle{};  ///< a directory of .debs to take before any other; may be empty
  bool offline = false;            ///< use only what bundle and cache have
};

struct PackageRequest {
  std::vector<std::string> packages;             ///< names, name=version or name/suite
  std::vector<std::string> local_debs{};         ///< paths of .debs to install, too
  std::map<std::string, std::string> exclude{};  ///< name -> why
  bool essential = false;   ///< also every package marked Essential, as a Debian system has
  bool recommends = false;  ///< also what packages recommend, as far as it can be had
};

struct DebianPackage {
  std::string name;
  std::string version;
  std::string architecture;  ///< "all" or the platform's
  std::string suite;         ///< "bookworm-security"; empty = a .deb of this machine
  std::string file;          ///< path of the .deb in that suite's archive, or on this machine
  manifest::Digest sha256;
  std::uint64_t size = 0;  ///< of the .deb, bytes
  // What only a resolution knows:
  std::uint64_t installed_size = 0;  ///< bytes, as the package says
  std::string wanted_by{};           ///< whose dependency brought it first; empty = asked for
  std::vector<std::string> needs{};  ///< packages of the set that can satisfy its dependencies
};

/// A version without the suffix of a rebuild from the same source: "1.2-3+b1" -> "1.2-3".
std::string_view source_version(std::string_view version);

struct PackageSet {
  manifest::Platform platform;
  std::vector<DebianPackage>
      packages;  ///< dependencies before dependents where possible, then by name
};

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
};

}  // namespace fnimage::source
