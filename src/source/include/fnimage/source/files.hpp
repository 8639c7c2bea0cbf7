// Files and directories of the user as layer content. Owners are fixed (0:0 unless said otherwise),
// modes are normalised to 0644/0755 by the owner's execute bit, times are one fixed time, so that
// the same content gives the same layer wherever and whenever it is built. Thread-safety: pure but
// for reading the file system.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/source/ignore.hpp>

namespace fnimage::source {

struct FileOptions {
  std::int64_t mtime = 0;  ///< seconds since 1970, for every entry
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> file_mode{};  ///< instead of 0644/0755
  std::stop_token stop{};                    ///< ends the reading of files as cancelled
};

/// Adds the files below `root` that match one of `patterns` (relative, "**" allowed; a directory
/// stands for all below it) and are not ignored, to `tree` under `target`. Symbolic links are kept
/// as links; one that leads out of `root` is invalid_input, as are sockets and devices. Errors:
/// not_found for a pattern that matches nothing, naming the nearest name.
Result<void> add_matching(const std::filesystem::path& root,
                          const std::vector<std::string>& patterns, const IgnoreRules& ignore,
                          std::string_view target, const FileOptions& options,
                          layer::FileTree& tree);

/// Adds one file or a whole directory `from` as `to` (which names the entry itself, as in `cp -T`).
Result<void> add_path(const std::filesystem::path& from, std::string_view to,
                      const FileOptions& options, layer::FileTree& tree);

/// Adds the entries of a tar archive (plain, gzip, xz, zstd) below `to`; times are clamped to
/// `max_mtime`.
/// @param pack_directory where its contents are kept (see layer/archive.hpp).
Result<void> add_archive(const std::filesystem::path& archive, std::string_view to,
                         const std::filesystem::path& pack_directory,
                         std::optional<std::int64_t> max_mtime, layer::FileTree& tree);

}  // namespace fnimage::source
