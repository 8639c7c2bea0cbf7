// Directories of the store that are written to: real ones, so that a symbolic link which somebody
// put there does not lead what is written to another place. Checked before writing, not held
// against somebody who may write to the store and changes it in that very moment: who may do that
// can change what the registry serves anyway. Thread-safety: pure functions.
#pragma once

#include <filesystem>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

/// Whether it is a directory itself, not a link to one.
bool is_plain_directory(const std::filesystem::path& path) noexcept;

/// Makes one directory and syncs its parent; nothing happens if it is there. Error: already_exists
/// when something else is there.
Result<void> make_plain_directory(const std::filesystem::path& path);

/// For files that are opened for writing: what is there must be no link that leads elsewhere.
/// Error: already_exists.
Result<void> refuse_other_than_file(const std::filesystem::path& path);

/// Whether all directories from `root` (not looked at) down to root/relative are so.
bool are_plain_directories(const std::filesystem::path& root,
                           const std::filesystem::path& relative) noexcept;

}  // namespace fnimage::server
