// The proof that an image can start on its platform, without running anything of it, on any host.
// Platform truth: every ELF object is for the platform's machine. Load check: the command exists,
// may be executed, and its interpreter, libraries and their symbol versions are found by the
// target's own rules, and so are those of all other programs and libraries. Thread-safety: pure
// functions over const files; several images may be checked at once.
#pragma once

#include <filesystem>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/check/report.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/manifest/image_config.hpp>
#include <fnimage/registry/store.hpp>

namespace fnimage::check {

/// Platform truth alone: for files that are not a whole image.
Result<Report> check_machines(const ImageFiles& files, const manifest::Platform& platform);

/// Everything. Errors: those of reading the files; what is wrong with the image is in the report.
Result<Report> check_image(const ImageFiles& files, const manifest::ImageConfig& config,
                           const manifest::Platform& platform);

struct StoredImage {
  manifest::Descriptor descriptor;  ///< as the list has it
  Report report;
};

struct StoreOptions {
  std::vector<manifest::Platform> platforms{};  ///< only these; empty = all
  layer::ArchiveLimits limits{};                ///< of each layer
  /// Layers are unpacked below it for as long as it takes; must exist.
  std::filesystem::path directory;
};

/// Checks what a reference stands for: each platform's image, attestations left out. A layer that
/// several platforms share is read once. Errors: platform_mismatch when a wanted platform is not
/// there, invalid_input for broken layers, those of the store.
Result<std::vector<StoredImage>> check_stored(registry::ImageStore& store,
                                              const registry::Selector& selector,
                                              const StoreOptions& options, WorkerPool& pool,
                                              Diagnostics& diagnostics);

/// An error that names the first findings of level error, or success.
Result<void> require_no_errors(const std::vector<Report>& reports);

}  // namespace fnimage::check
