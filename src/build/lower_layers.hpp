// What lies below a layer. An upper layer that brings a directory where a lower one has a symbolic
// link (/bin -> usr/bin) hides everything behind the link, and one that brings /tmp with mode 0755
// takes its mode away: overlay file systems merge layers by name, entry by entry. fit() changes a
// tree so that this cannot happen.
// Thread-safety: const methods from several threads.
#pragma once

#include <cstdint>

#include <fnimage/layer/file_tree.hpp>

namespace fnimage::build {

class LowerLayers {
 public:
  /// @param base_unknown the lowest layers are a base image's, whose files are not read.
  /// @param mtime of directories that are known to every system (/tmp).
  LowerLayers(bool base_unknown, std::int64_t mtime);

  /// Lays one more layer on top.
  Result<void> add(const layer::FileTree& tree);

  /// The tree with its paths led through the symbolic links below it, and with the metadata of the
  /// directories that are there already. Errors: unsupported for a path that may or may not be a
  /// link in an unknown base.
  [[nodiscard]] Result<layer::FileTree> fit(const layer::FileTree& tree) const;

 private:
  [[nodiscard]] std::string real_directory(std::string_view path) const;
  [[nodiscard]] std::string real_path(std::string_view path) const;
  Result<void> add_parents(const std::string& path, std::int64_t mtime,
                           layer::FileTree& tree) const;

  layer::FileTree skeleton_;  ///< directories and symbolic links only
  bool base_unknown_;
};

}  // namespace fnimage::build
