// The image as the layers below will show it: the tree of architecture-independent files under the
// tree that is being completed. Finds through both, adds to the upper one only. Thread-safety:
// belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::source::debian {

class ImageView {
 public:
  /// Trees are not owned. @param mtime of what is added.
  ImageView(const layer::FileTree& lower, layer::FileTree& upper, std::int64_t mtime)
      : lower_(lower), upper_(upper), mtime_(mtime) {}

  /// The entry itself, links not followed; nullptr when there is none.
  [[nodiscard]] const layer::Entry* find(std::string_view path) const;
  /// The entry of a path whose parents may be links ("/bin/x"); a link at its end is not followed.
  [[nodiscard]] const layer::Entry* find_real(std::string_view path) const;
  /// The entry that a path leads to, symbolic links followed in both trees; nullptr when it
  /// dangles.
  [[nodiscard]] const layer::Entry* resolve(std::string_view path) const;
  /// The file that a path leads to, symbolic and hard links followed; nullptr when there is none.
  [[nodiscard]] const layer::Entry* file(std::string_view path) const;
  /// The path of the directory that a path leads to, symbolic links followed; nullopt when there is
  /// none.
  [[nodiscard]] std::optional<std::string> directory(std::string_view path) const;
  /// Names of what is in a directory itself (of both trees), sorted. No links are followed.
  [[nodiscard]] std::vector<std::string> names_in(std::string_view directory) const;
  /// Paths of files below a directory (of both trees), sorted.
  [[nodiscard]] std::vector<std::string> files_below(std::string_view directory) const;
  /// Paths of everything below a directory (of both trees), sorted.
  [[nodiscard]] std::vector<std::string> paths_below(std::string_view directory) const;
  /// The bytes of the file that a path leads to. Errors: not_found, invalid_input past `limit`.
  [[nodiscard]] Result<std::string> read(std::string_view path, std::uint64_t limit) const;

  /// Paths of what is added go through the links of parent directories ("/bin/x" becomes
  /// "usr/bin/x").
  Result<void> add_file(std::string_view path, std::string text, std::uint32_t mode = 0644,
                        std::uint32_t gid = 0);
  Result<void> add_link(std::string_view path, std::string_view text);
  /// As add_link(), in place of an empty directory of the upper tree.
  Result<void> replace_with_link(std::string_view path, std::string_view text);
  Result<void> add_directory(std::string_view path, std::uint32_t mode, std::uint32_t gid = 0,
                             std::uint32_t uid = 0);
  /// Copies a file of the image, if it is there and the target is not.
  Result<void> copy_default(std::string_view from, std::string_view to);
  /// Adds an entry, of this image or not, under another path.
  Result<void> add_copy(layer::Entry entry, std::string_view path);
  /// Changes owner, mode or attributes of what a path leads to, if it is there. What is below is
  /// copied.
  Result<void> change(std::string_view path, const std::function<void(layer::Entry&)>& change);
  /// Removes an entry of the upper tree and everything below it; false when the lower tree has it.
  bool remove(std::string_view path);

 private:
  [[nodiscard]] std::string real_path(std::string_view path) const;
  [[nodiscard]] std::optional<std::string> resolved_path(std::string_view path) const;

  const layer::FileTree& lower_;
  layer::FileTree& upper_;
  std::int64_t mtime_;
};

}  // namespace fnimage::source::debian
