// Debian packages as layer content, for any architecture, without running anything: .debs from
// mirror, bundle or cache (SHA-256), laid out, and what the maintainer scripts would have done,
// done by us: merged /usr, update-alternatives, ldconfig, /etc/passwd and group, CA bundle, dpkg
// status. No index is needed for it: a set of packages names their files and hashes. Sources:
// Debian Policy ch. 6, 9 and 10, deb(5). Thread-safety: one PackagePool may be used from several
// threads (platforms are assembled in parallel).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/registry/transport.hpp>
#include <fnimage/source/debian.hpp>

namespace fnimage::source {

/// A part of the image's file tree that becomes one layer.
struct NamedTree {
  std::string name;  ///< "packages-all" (the same for every architecture) or "packages"
  layer::FileTree tree;
};

/// What a package's scripts would have done to the image, and no rule of ours does.
struct UncoveredScript {
  std::string package;
  std::vector<std::string> commands;  ///< with their first words, printable; sorted, each once
};

/// Packages, laid out and configured.
struct Assembly {
  std::vector<NamedTree> trees;            ///< lowest first
  std::vector<UncoveredScript> uncovered;  ///< by package; empty when nothing is missing
};

/// Removes from a cache_directory what is not what was unpacked there, so that it is unpacked
/// again; returns how many packages that were. For a second try after a verification error.
std::size_t discard_damaged_packages(const std::filesystem::path& cache_directory);

class PackagePool {
 public:
  /// Asks nothing of the network. Errors: those of making the cache directory.
  static Result<std::unique_ptr<PackagePool>> open(const DebianSettings& settings,
                                                   std::shared_ptr<registry::Transport> transport,
                                                   Diagnostics& diagnostics);
  virtual ~PackagePool() = default;

  /// Downloads what the cache lacks and lays the packages out.
  /// @param max_mtime times in packages are clamped to it; files made here get it, or 0 when it is
  /// not given. Errors: not_found (no mirror has that version any more), verification, unavailable,
  /// invalid_input (a broken .deb).
  virtual Result<Assembly> assemble(const PackageSet& set,
                                    std::optional<std::int64_t> max_mtime) = 0;

  /// Puts the .debs into a directory, from which DebianSettings::bundle takes them. What is there
  /// and right stays. Errors: as assemble().
  virtual Result<void> save(const PackageSet& set, const std::filesystem::path& directory) = 0;
};

}  // namespace fnimage::source
