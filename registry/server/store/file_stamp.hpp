// What tells whether a file is still the one that was read. Thread-safety: a value type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace fnimage::server {

/// Equal stamps are equal bytes as long as the file that was read is held open (so that its inode
/// number is not given to another file), but for changes in place within one tick of the clock.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;     ///< bytes
  std::int64_t modified = 0;  ///< ns since the epoch
  std::int64_t changed = 0;   ///< ns since the epoch: of the inode, which nobody can set back

  /// Nullopt unless it is a regular file; symbolic links are not followed.
  static std::optional<FileStamp> of(const std::filesystem::path& path) noexcept;
  static std::optional<FileStamp> of(int descriptor) noexcept;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

}  // namespace fnimage::server
