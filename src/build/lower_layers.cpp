// Fitting a layer onto those below it, see the header.
#include "lower_layers.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::build {

namespace {

using layer::Entry;
using layer::EntryType;
using layer::FileTree;

/// Symbolic links on systems with a merged /usr, directories on others.
constexpr std::array<std::string_view, 6> merged{"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

struct KnownDirectory {
  std::string_view path;
  std::uint32_t mode;
};
/// Directories whose mode matters on every system, in case that nothing below says it.
constexpr std::array known_directories{KnownDirectory{"root", 0700}, KnownDirectory{"tmp", 01777},
                                       KnownDirectory{"var/tmp", 01777}};

std::string join_path(std::string_view directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

}  // namespace

LowerLayers::LowerLayers(bool base_unknown, std::int64_t mtime) : base_unknown_(base_unknown) {
  for (const KnownDirectory& directory : known_directories) {
    // Constant paths: adding them cannot fail.
    static_cast<void>(skeleton_.add({.path = std::string(directory.path),
                                     .type = EntryType::directory,
                                     .mode = directory.mode,
                                     .mtime = mtime}));
  }
}

Result<void> LowerLayers::add(const FileTree& tree) {
  for (const auto& [path, entry] : tree.entries()) {
    if (entry.type == EntryType::directory || entry.type == EntryType::symlink) {
      FNIMAGE_CHECK(skeleton_.add(entry));
    } else {
      skeleton_.remove(path);  // a file now, whatever it was
    }
  }
  return {};
}

/// Where a directory really is, as far as it exists below.
std::string LowerLayers::real_directory(std::string_view path) const {
  std::string real;
  if (path.empty()) {
    return real;
  }
  for (const std::string_view part : split(path, '/')) {
    std::string next = join_path(real, part);
    const Entry* entry = skeleton_.resolve(next);
    if (entry != nullptr && entry->type == EntryType::directory) {
      real = entry->path;
    } else {
      real = std::move(next);
    }
  }
  return real;
}

/// The path with its directories led through links; its last part is the entry itself.
std::string LowerLayers::real_path(std::string_view path) const {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    return std::string(path);
  }
  return join_path(real_directory(path.substr(0, slash)), path.substr(slash + 1));
}

Result<void> LowerLayers::add_parents(const std::string& path, std::int64_t mtime,
                                      FileTree& tree) const {
  for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    const std::string parent = path.substr(0, end);
    if (tree.find(parent) != nullptr) {
      continue;
    }
    const Entry* lower = skeleton_.find(parent);
    const Entry made{.path = parent, .type = EntryType::directory, .mode = 0755, .mtime = mtime};
    const bool exists = lower != nullptr && lower->type == EntryType::directory;
    FNIMAGE_CHECK(tree.add(exists ? *lower : made));
  }
  return {};
}

Result<FileTree> LowerLayers::fit(const FileTree& tree) const {
  FileTree fitted;
  for (const auto& [path, entry] : tree.entries()) {
    const std::string_view top = std::string_view(path).substr(0, path.find('/'));
    if (base_unknown_ && std::ranges::find(merged, top) != merged.end()) {
      return fail(ErrorCode::unsupported,
                  fmt::format("nothing can be added below /{}, which may be a symbolic link in the "
                              "base image",
                              top),
                  fmt::format("write /usr/{} instead", top));
    }
    Entry moved = entry;
    moved.path = entry.type == EntryType::directory ? real_directory(path) : real_path(path);
    if (entry.type == EntryType::hardlink) {
      moved.link = real_path(entry.link);
    }
    const Entry* lower = skeleton_.find(moved.path);
    if (entry.type == EntryType::directory && lower != nullptr &&
        lower->type == EntryType::directory) {
      moved = *lower;
    }
    FNIMAGE_CHECK(add_parents(moved.path, entry.mtime, fitted));
    FNIMAGE_CHECK(fitted.add(std::move(moved)));
  }
  return fitted;
}

}  // namespace fnimage::build
