// An archive file whose members are read by name and from any offset, as image archives need it. A
// plain tar is indexed once, skipping over contents, and read in place; a compressed one (gzip,
// zstd, xz) is unpacked once to a temporary file that lives as long as anything read from it.
// Hostile archives (cut, lying sizes, ".." names, members that are there twice, link loops, bombs)
// are invalid_input (reliability A14-A16). Thread-safety: const methods from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/layer/archive.hpp>

namespace fnimage::layer {

class TarFile {
 public:
  /// Errors: not_found, invalid_input for what is no (whole, honest) tar, no_space.
  static Result<TarFile> open(const std::filesystem::path& file, const ArchiveLimits& limits = {});

  TarFile(TarFile&&) noexcept;
  TarFile& operator=(TarFile&&) noexcept;
  ~TarFile();

  /// A regular file, links to it followed inside the archive. The content may outlive this object.
  /// Errors: not_found; invalid_input for links that lead out, in circles or to no file.
  [[nodiscard]] Result<ContentPtr> content(std::string_view member) const;

 private:
  struct Impl;
  explicit TarFile(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace fnimage::layer
