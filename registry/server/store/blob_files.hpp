// The files below a layout's "blobs". A blob is a regular file: what else stands at its name is
// none for readers, and is replaced by writers. What is written is complete and synced before it
// has its name. Thread-safety: all methods from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/registry/blob_age.hpp>

#include "http/open_file.hpp"

namespace fnimage::server {

class BlobFiles {
 public:
  /// @param refresh_age see claim().
  explicit BlobFiles(const std::filesystem::path& layout,
                     std::chrono::milliseconds refresh_age = registry::refresh_age)
      : directory_(layout / "blobs"), refresh_age_(refresh_age) {}

  [[nodiscard]] std::filesystem::path path_of(const manifest::Digest& digest) const;
  /// In bytes; nullopt = there is none.
  [[nodiscard]] std::optional<std::uint64_t> size_of(const manifest::Digest& digest) const;
  /// The same for whoever will rely on it: it is not collected for a while (blob_age.hpp).
  [[nodiscard]] std::optional<std::uint64_t> claim(const manifest::Digest& digest) const;
  [[nodiscard]] Result<std::optional<std::shared_ptr<const OpenFile>>> open(
      const manifest::Digest& digest) const;
  /// The bytes, verified. Nullopt: there is none, it is damaged or larger than `limit`.
  [[nodiscard]] Result<std::optional<std::string>> read(const manifest::Digest& digest,
                                                        std::uint64_t limit) const;

  /// Stores bytes of this digest. The name is not safe before sync().
  [[nodiscard]] Result<void> put(const manifest::Digest& digest, const std::string& bytes) const;
  /// Gives a file that is complete and synced its place here; it loses its old name. Safe at once.
  [[nodiscard]] Result<void> adopt(const manifest::Digest& digest,
                                   const std::filesystem::path& file) const;
  /// Takes over a blob of another repository. Safe at once. False = it is not there.
  [[nodiscard]] Result<bool> link(const manifest::Digest& digest, const BlobFiles& from) const;
  /// False = there was none. Not safe before sync().
  [[nodiscard]] Result<bool> remove(const manifest::Digest& digest) const;
  /// Makes names and removals safe.
  [[nodiscard]] Result<void> sync(const manifest::Digest& digest) const;

 private:
  [[nodiscard]] std::filesystem::path directory_of(const manifest::Digest& digest) const;
  [[nodiscard]] Result<void> make_directory(const manifest::Digest& digest) const;
  [[nodiscard]] Result<void> copy_from(const manifest::Digest& digest,
                                       const std::filesystem::path& file, std::uint64_t size) const;
  std::filesystem::path directory_;
  std::chrono::milliseconds refresh_age_;
};

}  // namespace fnimage::server
