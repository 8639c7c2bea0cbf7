// Writes a tree of files to disk. Every directory on the way is opened by its own name, links not
// followed, from the one above it, so that nothing is made outside whatever the tree holds.
// Thread-safety: a pure function but for what it reads and writes.
#pragma once

#include <filesystem>
#include <stop_token>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::run {

struct WriteOptions {
  bool owners = false;     ///< give files to the users that the tree names; needs root
  std::stop_token stop{};  ///< ends with `cancelled`
};

/// Writes the entries below `root`, an empty directory that nobody else writes to. Devices are left
/// out, and set-id bits; without `owners`, the owner may read all of it. Errors: invalid_input for
/// a path that leads through something that is no directory, a name that is none, a hard link to
/// nothing; no_space and others of the file system; those of reading contents.
Result<void> write_tree(const layer::FileTree::Map& entries, const std::filesystem::path& root,
                        const WriteOptions& options = {});

}  // namespace fnimage::run
