// ldconfig(8): the directories of /etc/ld.so.conf and glibc's own, a link for every library name
// that has none or an old one, and the cache that the dynamic loader searches first.
//
// Libraries in glibc-hwcaps subdirectories ("x86-64-v3") are in the cache, because a library that
// is found in it hides them. Left out are the older subdirectories ("tls", "haswell"), which
// loaders have not looked into since glibc 2.37: programs get the library for any processor, which
// is always there. Links that dangle stay: the loader passes them over. ldconfig's own cache of
// what it read (/var/cache/ldconfig) is made anew by the next ldconfig. Thread-safety: see
// configure.hpp.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fnmatch.h>

#include <fnimage/base/text.hpp>
#include <fnimage/elf/loader_cache.hpp>
#include <fnimage/elf/object.hpp>

#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {
namespace {

using elf::ByteOrder;
using elf::Machine;

constexpr std::string_view loader_configuration = "/etc/ld.so.conf";
constexpr std::uint64_t max_loader_configuration = std::uint64_t{1} << 20;
constexpr std::size_t max_included = 1000;        // files, each read once
constexpr std::size_t max_include_pattern = 256;  // matching takes time that grows with it
constexpr std::uint16_t shared_object = 3;        // e_type

/// What libraries of an architecture are: its own machine's, and those of the other width that its
/// processors run too. The cache says which is which.
struct LoaderTarget {
  std::string_view architecture;  ///< Debian's name
  ByteOrder order;
  Machine machine;
  Machine other;
};

constexpr std::array loader_targets{
    LoaderTarget{"amd64", ByteOrder::little, Machine::x86_64, Machine::i386},
    LoaderTarget{"i386", ByteOrder::little, Machine::i386, Machine::x86_64},
    LoaderTarget{"arm64", ByteOrder::little, Machine::aarch64, Machine::arm},
    LoaderTarget{"armel", ByteOrder::little, Machine::arm, Machine::aarch64},
    LoaderTarget{"armhf", ByteOrder::little, Machine::arm, Machine::aarch64},
    LoaderTarget{"ppc64el", ByteOrder::little, Machine::ppc64, Machine::ppc64},
    LoaderTarget{"ppc64", ByteOrder::big, Machine::ppc64, Machine::ppc},
    LoaderTarget{"s390x", ByteOrder::big, Machine::s390, Machine::s390},
    LoaderTarget{"riscv64", ByteOrder::little, Machine::riscv, Machine::riscv},
    LoaderTarget{"loong64", ByteOrder::little, Machine::loongarch, Machine::loongarch},
    LoaderTarget{"mips64el", ByteOrder::little, Machine::mips, Machine::mips},
    LoaderTarget{"mipsel", ByteOrder::little, Machine::mips, Machine::mips},
};

const LoaderTarget* find_loader_target(std::string_view architecture) noexcept {
  for (const LoaderTarget& target : loader_targets) {
    if (target.architecture == architecture) {
      return &target;
    }
  }
  return nullptr;
}

struct LibraryDirectory {
  std::string path;          ///< as it is configured, without a slash at its end
  std::string real;          ///< in the image, links followed
  std::string processors{};  ///< name of the glibc-hwcaps subdirectory that it is
};

/// The directories that libraries are looked for in. What is there twice counts once, under the
/// path that came first.
class LibraryDirectories {
 public:
  explicit LibraryDirectories(const ImageView& image) : image_(image) {}

  Result<void> add_configured() { return read(std::string(loader_configuration)); }

  void add(std::string_view text) {
    std::string_view path = trim(text.substr(0, text.find('=')));  // "directory=type" of old times
    while (path.ends_with('/')) {
      path.remove_suffix(1);
    }
    if (!path.starts_with('/')) {
      return;
    }
    const std::optional<std::string> real = image_.directory(path);
    if (!real || !known_.insert(*real).second) {
      return;
    }
    found_.push_back({.path = std::string(path), .real = *real});
    add_subdirectories(std::string(path) + "/glibc-hwcaps");
  }

  [[nodiscard]] const std::vector<LibraryDirectory>& found() const noexcept { return found_; }

 private:
  void add_subdirectories(const std::string& path) {
    const std::optional<std::string> real = image_.directory(path);
    if (!real) {
      return;
    }
    for (const std::string& name : image_.names_in(*real)) {
      // The loader separates names by ':'.
      if (name.starts_with('.') || name.find(':') != std::string::npos) {
        continue;
      }
      const std::optional<std::string> below = image_.directory(*real + "/" + name);
      if (below && known_.insert(*below).second) {
        found_.push_back(
            {.path = fmt::format("{}/{}", path, name), .real = *below, .processors = name});
      }
    }
  }

  Result<void> read(const std::string& path) {
    if (image_.file(path) == nullptr || read_.size() >= max_included ||
        !read_.insert(path).second) {
      return {};
    }
    FNIMAGE_TRY(const std::string text, image_.read(path, max_loader_configuration));
    for (const std::string_view line : split(text, '\n')) {
      const std::string_view words = trim(line.substr(0, line.find('#')));
      const std::size_t end = words.find_first_of(" \t");
      const std::string_view first = words.substr(0, end);
      if (end != std::string_view::npos && first == "include") {
        FNIMAGE_CHECK(include(words.substr(end), path));
      } else if (end == std::string_view::npos || !equals_ignoring_case(first, "hwcap")) {
        add(words);
      }
    }
    return {};
  }

  /// Reads the files of some patterns; those of one pattern in the order of their names. Only the
  /// last part of a pattern is one.
  Result<void> include(std::string_view patterns, const std::string& from) {
    std::string text(patterns);
    std::replace(text.begin(), text.end(), '\t', ' ');
    for (const std::string_view word : split(text, ' ')) {
      if (word.empty() || word.size() > max_include_pattern) {
        continue;
      }
      const std::string pattern = word.starts_with('/')
                                      ? std::string(word)
                                      : fmt::format("{}/{}", from.substr(0, from.rfind('/')), word);
      const std::size_t slash = pattern.rfind('/');
      const std::string directory = pattern.substr(0, slash);
      const std::optional<std::string> real = image_.directory(directory);
      if (!real) {
        continue;
      }
      for (const std::string& name : image_.names_in(*real)) {
        if (::fnmatch(pattern.c_str() + slash + 1, name.c_str(), FNM_PERIOD) == 0) {
          FNIMAGE_CHECK(read(fmt::format("{}/{}", directory, name)));
        }
      }
    }
    return {};
  }

  const ImageView& image_;
  std::vector<LibraryDirectory> found_{};
  std::set<std::string> known_{};  ///< real paths
  std::set<std::string> read_{};   ///< configuration files
};

bool is_library_name(std::string_view name) noexcept {
  return ((name.starts_with("lib") || name.starts_with("ld-")) &&
          name.find(".so") != std::string_view::npos) ||
         name.starts_with("ld.so.") || name.starts_with("ld64.so.");
}

/// Names with a slash are paths to the loader, and to us ways out of the directory.
bool is_file_name(std::string_view name) noexcept {
  constexpr std::size_t max_name = 255;
  return name.size() <= max_name && name.find('/') == std::string_view::npos && name != "." &&
         name != "..";
}

struct LibraryObject {
  std::string soname;  ///< empty = none
  std::uint32_t flags = 0;
};

/// What bears a library name in a directory.
struct LibraryFile {
  std::string name;
  bool is_alias = false;  ///< a link that is a name of the library already
  std::uint32_t flags = 0;
};

class LibrarySearch {
 public:
  LibrarySearch(ImageView& image, const LoaderTarget& target) : image_(image), target_(target) {}

  Result<void> search(const LibraryDirectory& directory) {
    std::map<std::string, LibraryFile> by_name;
    for (const std::string& name : image_.names_in(directory.real)) {
      if (is_library_name(name)) {
        FNIMAGE_CHECK(consider(directory, name, by_name));
      }
    }
    for (const auto& [name, file] : by_name) {
      const bool is_plain = directory.processors.empty();
      if (is_plain && !file.is_alias) {
        FNIMAGE_CHECK(link(directory, name, file.name));
      }
      found_.push_back({.name = name,
                        .path = directory.path + "/" + (is_plain ? name : file.name),
                        .flags = file.flags,
                        .processors = directory.processors});
    }
    return {};
  }

  std::vector<elf::CachedLibrary> take() { return std::move(found_); }

 private:
  Result<void> consider(const LibraryDirectory& directory, const std::string& name,
                        std::map<std::string, LibraryFile>& by_name) {
    const std::string path = directory.real + "/" + name;
    FNIMAGE_TRY(const std::optional<LibraryObject> object, object_of(path));
    if (!object) {
      return {};
    }
    std::string soname = object->soname.empty() ? name : object->soname;
    // "libz.so.1 -> libz.so.1.3", and "libz.so -> libz.so.1.3" for the linker. Any other link is a
    // further file of the library.
    const bool is_alias = image_.find(path)->type == layer::EntryType::symlink &&
                          (name == soname || (name.ends_with(".so") && soname.starts_with(name)));
    if (is_alias) {
      soname = name;
    }
    const LibraryFile file{.name = name, .is_alias = is_alias, .flags = object->flags};
    const auto [other, is_first] = by_name.try_emplace(soname, file);
    if (!is_first && is_better(file, other->second)) {
      other->second = file;
    }
    return {};
  }

  static bool is_better(const LibraryFile& file, const LibraryFile& than) noexcept {
    return file.is_alias == than.is_alias ? elf::compare_library_names(file.name, than.name) > 0
                                          : than.is_alias;
  }

  /// nullopt for what the loader of the target cannot load, and what is no library at all.
  Result<std::optional<LibraryObject>> object_of(const std::string& path) {
    const layer::Entry* file = image_.file(path);
    if (file == nullptr || file->content == nullptr) {
      return std::nullopt;
    }
    if (const auto known = objects_.find(file->path); known != objects_.end()) {
      return known->second;
    }
    FNIMAGE_TRY(auto object, read(*file));
    return objects_.emplace(file->path, std::move(object)).first->second;
  }

  [[nodiscard]] Result<std::optional<LibraryObject>> read(const layer::Entry& file) const {
    Result<elf::Object> object = elf::read_object(*file.content, "/" + file.path);
    if (!object) {
      // Linker scripts and the like.
      return object.error().code() == ErrorCode::invalid_input
                 ? Result<std::optional<LibraryObject>>(std::nullopt)
                 : fail(std::move(object).error());
    }
    const elf::Identity& identity = object->identity;
    const auto flags = elf::loader_flags(identity);
    const bool is_ours = identity.order == target_.order &&
                         (identity.machine == target_.machine || identity.machine == target_.other);
    if (!flags || !is_ours || identity.type != shared_object || !object->dynamic ||
        !is_file_name(object->soname)) {
      return std::nullopt;
    }
    return LibraryObject{.soname = std::move(object->soname), .flags = *flags};
  }

  /// Lets a library's name lead to the file, unless something else than a link has that name.
  Result<void> link(const LibraryDirectory& directory, const std::string& name,
                    const std::string& file) {
    const std::string path = directory.real + "/" + name;
    const layer::Entry* present = image_.find(path);
    const bool may_change = present == nullptr || present->type == layer::EntryType::symlink;
    if (!may_change || image_.file(path) == image_.file(directory.real + "/" + file)) {
      return {};
    }
    return image_.add_link(path, file);
  }

  ImageView& image_;
  const LoaderTarget& target_;
  std::map<std::string, std::optional<LibraryObject>> objects_{};  ///< by the path of the file
  std::vector<elf::CachedLibrary> found_{};
};

}  // namespace

Result<void> configure_loader_cache(ImageView& image, const ConfigureContext& context) {
  const LoaderTarget* target = find_loader_target(context.architecture);
  if (target == nullptr || image.file(loader_configuration) == nullptr) {
    return {};
  }
  LibraryDirectories directories(image);
  FNIMAGE_CHECK(directories.add_configured());
  for (const std::string& path : {"/lib/" + context.triplet, "/usr/lib/" + context.triplet,
                                  std::string("/lib"), std::string("/usr/lib")}) {
    directories.add(path);
  }
  LibrarySearch search(image, *target);
  for (const LibraryDirectory& directory : directories.found()) {
    FNIMAGE_CHECK(search.search(directory));
  }
  return image.add_file("etc/ld.so.cache", elf::write_loader_cache(search.take(), target->order));
}

}  // namespace fnimage::source::debian
