// Where a build goes: the local store, a layout or an archive of the user's, and what the list is
// called there. Thread-safety: one object belongs to one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/build/build.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/location.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::build {

class Output {
 public:
  /// @param location "oci:DIR[:tag]", "oci-archive:FILE[:tag]" or "docker-archive:FILE[:name:tag]";
  /// empty = the environment's local store. @param references what the list is called when the
  /// location has no tag; empty = after the build file, or "latest". Errors: invalid_argument for
  /// another location; platform_mismatch for a docker archive of several platforms; unsupported for
  /// one with bills of materials; those of making directories.
  static Result<Output> open(std::string_view location,
                             const std::vector<manifest::Reference>& references,
                             const BuildSpec& spec, const BuildOptions& options,
                             const Environment& environment);

  /// What build() gets.
  [[nodiscard]] registry::ImageStore& store() const noexcept { return *store_; }
  [[nodiscard]] const std::vector<std::string>& tags() const noexcept { return tags_; }
  /// As people call what is built.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

  /// After the build: a layout's platforms get their tags, and an archive is written. Errors: those
  /// of archive::write_archive() and of the store.
  Result<void> complete(const BuildResult& result, Diagnostics& diagnostics) const;

 private:
  Output() = default;

  Result<void> open_local(const BuildSpec& spec, const std::vector<manifest::Reference>& references,
                          const Environment& environment);
  Result<void> open_layout(const registry::Location& location,
                           const std::vector<manifest::Reference>& references);
  Result<void> open_archive(const registry::Location& location,
                            const std::vector<manifest::Reference>& references,
                            const BuildSpec& spec, const BuildOptions& options,
                            const Environment& environment);
  Result<void> write_archive(const BuildResult& result, Diagnostics& diagnostics) const;

  /// An archive is written from a layout that lasts as long as the build.
  std::optional<TemporaryDirectory> scratch_{};
  std::optional<registry::Location> archive_{};
  std::unique_ptr<registry::ImageStore> store_{};
  std::vector<std::string> tags_{};
  std::vector<std::string> names_{};
  bool is_layout_ = false;  ///< of the user's, not the local store
};

}  // namespace fnimage::build
