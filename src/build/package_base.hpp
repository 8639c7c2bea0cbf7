// A base that is assembled from Debian packages: which packages each platform gets, from the lock
// or resolved now, and their trees. Private to build. Thread-safety: resolve() first; then
// assemble() from several threads.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/source/debian.hpp>
#include <fnimage/source/package_pool.hpp>

#include "lock_file.hpp"

namespace fnimage::build {

class PackageBase {
 public:
  /// With a lock file nothing is resolved, and no index is needed. The environment is kept.
  /// @param runtime_packages what the runtime asks for. @param mtime of what is made, and the
  /// latest of what is packed, seconds since 1970.
  static Result<std::unique_ptr<PackageBase>> open(const BuildSpec& spec, const DebianBase& base,
                                                   const std::vector<std::string>& runtime_packages,
                                                   std::int64_t mtime, const BuildOptions& options,
                                                   const Environment& environment);

  /// Chooses the packages of all platforms.
  Result<void> resolve(const std::vector<manifest::Platform>& platforms);
  /// One of the platforms' layers, and what no rule covers.
  Result<source::Assembly> assemble(const manifest::Platform& platform);

 private:
  PackageBase(const Environment& environment, source::DebianSettings settings,
              source::PackageRequest request)
      : environment_(environment), settings_(std::move(settings)), request_(std::move(request)) {}

  Result<void> open_archive();
  [[nodiscard]] Result<source::PackageSet> resolve_one(const manifest::Platform& platform) const;
  Result<source::PackageSet> host_packages(const std::string& name, const std::string& version);
  Result<source::PackageSet> resolve_for_host(const std::string& name, const std::string& version);

  const Environment& environment_;
  source::DebianSettings settings_;
  source::PackageRequest request_;
  source::AssembleOptions assemble_{};
  std::optional<FoundLock> lock_{};
  std::mutex archive_mutex_;  ///< guards the making of archive_ after resolve()
  std::unique_ptr<source::DebianArchive> archive_{};
  std::unique_ptr<source::PackagePool> pool_{};
  std::vector<source::PackageSet> sets_{};
};

}  // namespace fnimage::build
