// Where the files of packages go: merged /usr (everything of /bin, /sbin, /lib* is mapped below
// /usr, hard link targets too; symbolic links keep their text), documentation left out except
// copyright files, files of two packages decided by Replaces. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/source/debian.hpp>

#include "debian/package.hpp"

namespace fnimage::source::debian {

/// "lib/x/y" -> "usr/lib/x/y"; other paths as they are. Relative, clean paths.
std::string merged_path(std::string_view path);

/// True for what images do without: manual pages, documentation, translations. Copyright files
/// stay.
bool is_left_out(std::string_view path, layer::EntryType type);

struct LayoutOptions {
  std::optional<std::int64_t> max_mtime{};  ///< file times are clamped to it
  std::int64_t made_mtime = 0;              ///< of directories
  bool documentation = false;               ///< with what is_left_out()
};

/// A file whose path another package's has.
struct DisplacedFile {
  std::size_t number = 0;    ///< of its package
  bool is_replaced = false;  ///< as "Replaces" says; otherwise the packages are in conflict
  layer::Entry entry{};
};

/// The image's files, and whose they are.
struct Layout {
  layer::FileTree tree{};
  /// Path -> number of the package that brought it (of those that share a directory: the lowest
  /// layer's); what no package brought has no owner.
  std::unordered_map<std::string, std::size_t> owners{};
  /// Paths of what is made here out of a package's files and is the same for every architecture.
  std::unordered_set<std::string> common{};
  /// Path -> what is not at it, since another package has it; a diversion may give it a place.
  std::map<std::string, std::vector<DisplacedFile>, std::less<>> displaced{};
};

/// Lays out packages; `unpacked` and `layers` (the number of each one's layer, lowest first) are
/// parallel to `packages`. Their order does not matter. The entries in `unpacked` are used up:
/// there may be 100'000, half of which no image has.
Result<Layout> lay_out(std::span<const DebianPackage> packages, std::span<UnpackedPackage> unpacked,
                       std::span<const std::size_t> layers, const LayoutOptions& options);

/// Warns about files of two packages that nothing decides about.
void report_conflicts(const Layout& layout, std::span<const DebianPackage> packages,
                      Diagnostics& diagnostics);

}  // namespace fnimage::source::debian
