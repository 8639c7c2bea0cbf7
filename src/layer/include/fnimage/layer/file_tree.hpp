// FileTree: the content of one layer as metadata in memory, sorted by path; file bytes stay where
// they are until packed. Every source (directory, archive, Debian packages, runtime) ends in a
// FileTree, and the tar writer packs nothing else. Thread-safety: const methods from several
// threads; no concurrent changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>
#include <fnimage/layer/entry.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::layer {

class FileTree {
 public:
  using Map = std::map<std::string, Entry, std::less<>>;

  /// Adds an entry; its path is cleaned. What is there already: a directory keeps its children and
  /// takes the new metadata; a file, link or device is replaced; a directory over a symbolic link
  /// to a directory keeps the link (as dpkg does). Missing parents are made as root:root 0755
  /// directories. Errors: invalid_input for a bad path, a parent that is not a directory, a
  /// directory replaced by something else while it has children, more than 256 directories above
  /// it, and for trees that make more work than their entries account for. Symbolic links to
  /// directories on the way are followed, so that "bin/sh" goes to "usr/bin/sh" where bin is a link
  /// (as dpkg does). A file that loses its name to another entry lives on under its hard links.
  Result<void> add(Entry entry);

  /// Removes an entry and everything below it; false when there was none.
  bool remove(std::string_view path);

  [[nodiscard]] const Entry* find(std::string_view path) const;
  [[nodiscard]] Entry* find(std::string_view path);
  /// Follows symbolic links inside the tree (at most 40), absolute ones from the tree's root;
  /// nullptr when it dangles.
  [[nodiscard]] const Entry* resolve(std::string_view path) const;

  [[nodiscard]] const Map& entries() const noexcept { return entries_; }
  /// The entries alone, for who takes the tree apart.
  [[nodiscard]] Map take_entries() && { return std::move(entries_); }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  /// Sum of file sizes in bytes.
  [[nodiscard]] std::uint64_t content_size() const noexcept;

  /// sha256 over all metadata and content ids: equal keys mean equal layers. nullopt when a file
  /// has no content id.
  [[nodiscard]] std::optional<manifest::Digest> key() const;

 private:
  /// The path with the symbolic links of its parents followed.
  [[nodiscard]] Result<std::string> place_of(std::string_view path) const;
  Result<void> make_parents(const std::string& path);
  Result<void> put(Entry entry);
  /// Gives the content of an entry that goes away to its hard links.
  void detach_links(const std::string& target);

  Map entries_;
  std::multimap<std::string, std::string> links_;  // hard link target -> link; may hold stale pairs
  std::uint64_t implied_bytes_ = 0;                // of directories that no entry asked for
  std::uint64_t moved_links_ = 0;
};

/// Whether there is something below a directory (or below whatever else the path is).
bool has_children(const FileTree::Map& entries, std::string_view directory);

}  // namespace fnimage::layer
