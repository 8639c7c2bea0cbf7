// The packages of one architecture: Packages files of all suites, verified against their Release,
// reduced to the fields that are needed here, cached on disk by hash as tables (package_table.hpp)
// and mapped into memory. Thread-safety: load_index may run for several architectures at once; a
// PackageIndex is immutable.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

#include "debian/download.hpp"
#include "debian/package_table.hpp"
#include "debian/release.hpp"

namespace fnimage::source::debian {

/// The packages of several suites as one.
class PackageIndex {
 public:
  /// One Packages file and the suite that it is from.
  struct Part {
    std::string suite;  ///< empty = .debs of this machine
    PackageTable table;
    /// Versions of the part with the greatest are candidates before newer ones of others.
    int priority = ordinary_priority;
  };

  // apt's figures, apt_preferences(5).
  static constexpr int local_priority = 1000;
  static constexpr int ordinary_priority = 500;
  static constexpr int not_automatic_priority = 1;  ///< NotAutomatic, ButAutomaticUpgrades

  /// Earlier parts win among equal versions.
  PackageIndex(std::string architecture, std::vector<Part> parts)
      : architecture_(std::move(architecture)), parts_(std::move(parts)) {}

  /// All versions of a package, newest first.
  [[nodiscard]] std::vector<IndexedPackage> versions(std::string_view name) const;
  /// The version that is taken when nothing else is said: of the highest priority, then the newest.
  [[nodiscard]] std::optional<IndexedPackage> candidate(std::string_view name) const;
  /// Candidates that provide a name, by their name.
  [[nodiscard]] std::vector<Provider> providers(std::string_view name) const;
  /// Candidates marked Essential, by name.
  [[nodiscard]] std::vector<IndexedPackage> essential() const;
  /// Every package name, sorted, for suggestions.
  [[nodiscard]] std::vector<std::string_view> names() const;
  [[nodiscard]] const std::string& architecture() const noexcept { return architecture_; }
  [[nodiscard]] const std::string& suite(const IndexedPackage& package) const {
    return parts_[package.origin].suite;
  }
  /// With one more part, which goes first among equal versions of equal priority.
  [[nodiscard]] PackageIndex with(Part part) const;

 private:
  [[nodiscard]] bool is_candidate(const IndexedPackage& package) const;

  std::string architecture_;
  std::vector<Part> parts_;
};

/// Fetches (or takes from the cache) the Packages files of an architecture and indexes them.
/// Errors: platform_mismatch when the release lacks the architecture, not_found for a component it
/// lacks, verification, unavailable.
Result<std::shared_ptr<const PackageIndex>> load_index(std::span<const Release> releases,
                                                       const std::string& architecture,
                                                       const Downloader& downloader,
                                                       const std::filesystem::path& cache);

}  // namespace fnimage::source::debian
