// The image while it is completed: lookup through links, and adding. Thread-safety: belongs to one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>

#include "debian/layout.hpp"

namespace fnimage::source::debian {

class ImageView {
 public:
  /// @param layout not owned. @param mtime of what is added.
  ImageView(Layout& layout, std::int64_t mtime) : layout_(layout), mtime_(mtime) {}

  /// The entry itself, links not followed; nullptr when there is none.
  [[nodiscard]] const layer::Entry* find(std::string_view path) const;
  /// The entry of a path whose parents may be links ("/bin/x"); a link at its end is not followed.
  [[nodiscard]] const layer::Entry* find_real(std::string_view path) const;
  /// The number of the package that brought what is there; nullopt for what none did.
  [[nodiscard]] std::optional<std::size_t> owner(const std::string& path) const;
  /// The entry that a path leads to; nullptr when it dangles.
  [[nodiscard]] const layer::Entry* resolve(std::string_view path) const;
  /// The file that a path leads to, symbolic and hard links followed; nullptr when there is none.
  [[nodiscard]] const layer::Entry* file(std::string_view path) const;
  /// The path of the directory that a path leads to, symbolic links followed; nullopt when there is
  /// none.
  [[nodiscard]] std::optional<std::string> directory(std::string_view path) const;
  /// Names of what is in a directory itself, sorted. No links are followed.
  [[nodiscard]] std::vector<std::string> names_in(std::string_view directory) const;
  /// Paths of files below a directory, sorted.
  [[nodiscard]] std::vector<std::string> files_below(std::string_view directory) const;
  /// Paths of everything below a directory, sorted.
  [[nodiscard]] std::vector<std::string> paths_below(std::string_view directory) const;
  /// The bytes of the file that a path leads to. Errors: not_found, invalid_input past `limit`.
  [[nodiscard]] Result<std::string> read(std::string_view path, std::uint64_t limit) const;

  /// Paths of what is added go through the links of parent directories ("/bin/x" becomes
  /// "usr/bin/x"). It belongs to no package, whoever had the path before.
  Result<void> add_file(std::string_view path, std::string text, std::uint32_t mode = 0644,
                        std::uint32_t gid = 0);
  /// As add_file(), for what a package would have brought itself. @param owner its number
  Result<void> add_package_file(std::size_t owner, std::string_view path, std::string text);
  Result<void> add_link(std::string_view path, std::string_view text);
  /// As add_link(), in place of an empty directory.
  Result<void> replace_with_link(std::string_view path, std::string_view text);
  Result<void> add_directory(std::string_view path, std::uint32_t mode, std::uint32_t gid = 0,
                             std::uint32_t uid = 0);
  /// Copies a file of the image, if it is there and the target is not.
  Result<void> copy_default(std::string_view from, std::string_view to);
  /// Adds an entry, of this image or not, under another path.
  Result<void> add_copy(layer::Entry entry, std::string_view path);
  /// Moves what packages but one have at a path to another path, and gives the path to that one's
  /// file, if it has one there, too. False, and nothing is moved, when it is not sure what to: what
  /// is there belongs to no package, or the other path is taken.
  /// @param keeper number of the package whose file stays; nullopt: all move
  Result<bool> divert(std::string_view path, std::string_view to,
                      std::optional<std::size_t> keeper);
  /// Changes owner, mode or attributes of what a path leads to, if it is there. It stays its
  /// package's.
  void change(std::string_view path, const std::function<void(layer::Entry&)>& change);
  /// Removes an entry and everything below it.
  void remove(std::string_view path);

 private:
  [[nodiscard]] std::string real_path(std::string_view path) const;
  [[nodiscard]] std::optional<std::string> resolved_path(std::string_view path) const;

  Result<void> add(layer::Entry entry);
  Result<void> place(const std::string& path, DisplacedFile file);

  Layout& layout_;
  std::int64_t mtime_;
};

}  // namespace fnimage::source::debian
