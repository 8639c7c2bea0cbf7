// Debian packages as layer content, for any architecture, without running their scripts: .debs from
// mirror, bundle or cache (SHA-256), laid out, and what the maintainer scripts would have done,
// done by us: merged /usr, update-alternatives, ldconfig, /etc/passwd and group, CA bundle, dpkg
// status, and Python byte-code (the one thing for which a program of the packages is run, see
// AssembleOptions). No index is needed for it: a set of packages names their files and hashes.
// Sources: Debian Policy ch. 6, 9 and 10, deb(5). Thread-safety: one PackagePool may be used from
// several threads (platforms are assembled in parallel).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/registry/transport.hpp>
#include <fnimage/source/debian.hpp>

namespace fnimage::source {

/// A part of the image's file tree that becomes one layer.
struct NamedTree {
  /// "base", "interpreter", "packages", "own-packages", each also with "-all" (of packages for all
  /// architectures) and "-bytecode" (the same for all of them), or "configuration"
  std::string name;
  layer::FileTree tree;
};

/// Whether a layer made here can have this name.
bool is_package_layer(std::string_view name);

struct AssembleOptions {
  /// Times in packages are clamped to it. Files made here get it, or 0 when it is not given.
  std::optional<std::int64_t> max_mtime{};
  /// The set was asked for with every Essential package: they and their needs are layer "base".
  bool essential = false;
  /// Also manual pages, /usr/share/doc and translations. Copyright files are there without.
  bool documentation = false;
  /// What the runtime asked for: they and their needs are layer "interpreter".
  std::vector<std::string> runtime_packages{};
  /// Names of packages that every platform of the image has, of the same source: only what is for
  /// all architectures in them goes to layers that are for all. Not given: every package.
  std::optional<std::set<std::string>> common_packages{};
  /// Packages for this machine, with the one of that name whose version is the given one but for
  /// what a rebuild adds to it ("+b1"): the set's Python interpreter is run to compile the set's
  /// Python sources. Called when the cache lacks any of it, from several threads. Empty = no
  /// byte-code is made.
  std::function<Result<PackageSet>(const std::string& name, const std::string& version)>
      host_packages{};
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

  /// Downloads what the cache lacks and lays the packages out. A layer's content follows from its
  /// own packages, not from what else is in the set, but for files that another package replaces.
  /// Errors: not_found (no mirror has that version any more), verification, unavailable,
  /// invalid_input (a broken .deb).
  virtual Result<Assembly> assemble(const PackageSet& set, const AssembleOptions& options) = 0;

  /// Puts the .debs into a directory, from which DebianSettings::bundle takes them. What is there
  /// and right stays. Errors: as assemble().
  virtual Result<void> save(const PackageSet& set, const std::filesystem::path& directory) = 0;
};

}  // namespace fnimage::source
