// The packages of one architecture: Packages files of all suites, verified against their Release,
// reduced to the fields that are needed here, cached on disk by hash and mapped into memory. A
// second use costs one pass over the mapped text. Thread-safety: load_index may run for several
// architectures at once; a PackageIndex is immutable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fnimage/base/result.hpp>

#include "debian/download.hpp"
#include "debian/release.hpp"

namespace fnimage::source::debian {

/// One version of a package. Views live as long as the index.
struct IndexedPackage {
  std::string_view name;
  std::string_view version;
  std::string_view provides;
  std::string_view paragraph;
  std::uint32_t origin = 0;  ///< number of the base URL
  bool essential = false;
};

/// A package that provides a virtual one.
struct Provider {
  const IndexedPackage* package = nullptr;
  std::string_view version{};  ///< of the virtual package; empty when it has none
};

class PackageIndex {
 public:
  /// Text of a Packages file with the base URL that its file names are relative to.
  struct Part {
    std::string base_url;
    std::string_view text;
    std::shared_ptr<const void> owner;  ///< keeps the text alive
  };

  /// Indexes the parts; earlier parts win among equal versions. Error: invalid_input for a
  /// malformed paragraph.
  static Result<std::shared_ptr<const PackageIndex>> build(std::string architecture,
                                                           std::vector<Part> parts);

  /// All versions of a package, newest first.
  [[nodiscard]] std::span<const IndexedPackage> versions(std::string_view name) const;
  /// Newest packages that provide a name.
  [[nodiscard]] std::span<const Provider> providers(std::string_view name) const;
  /// Newest versions marked Essential, by name.
  [[nodiscard]] std::vector<const IndexedPackage*> essential() const;
  /// Every package name, for suggestions.
  [[nodiscard]] std::vector<std::string_view> names() const;
  [[nodiscard]] const std::string& architecture() const noexcept { return architecture_; }
  [[nodiscard]] const std::string& base_url(const IndexedPackage& package) const {
    return parts_[package.origin].base_url;
  }

 private:
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
  };

  Result<void> scan();
  Result<void> group();

  std::string architecture_;
  std::vector<Part> parts_;
  std::vector<IndexedPackage> packages_;  ///< sorted by name, newest first
  std::unordered_map<std::string_view, Range> by_name_;
  std::unordered_map<std::string_view, std::vector<Provider>> providers_;
};

/// Fetches (or takes from the cache) the Packages files of an architecture and indexes them.
/// Errors: platform_mismatch when the release lacks the architecture, not_found for a component it
/// lacks, verification, unavailable.
Result<std::shared_ptr<const PackageIndex>> load_index(std::span<const Release> releases,
                                                       const std::string& architecture,
                                                       const Downloader& downloader,
                                                       const std::filesystem::path& cache);

}  // namespace fnimage::source::debian
