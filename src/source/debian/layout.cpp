// The layout rules of layout.hpp. Packages are taken by layer and name, so that the result depends
// on the set only. Thread-safety: all state is local.
#include "debian/layout.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr std::array<std::string_view, 7> merged_directories{"bin",   "sbin",   "lib",   "lib32",
                                                             "lib64", "libx32", "libo32"};
constexpr std::array<std::string_view, 5> documentation{"doc", "info", "lintian", "locale", "man"};

bool is_plain_directory(const Entry& entry) {
  return entry.mode == 0755 && entry.uid == 0 && entry.gid == 0;
}

// "bin" -> "usr/bin", which base-files ships since Debian 13: made for every image instead.
bool is_top_link(const Entry& entry) {
  return entry.type == EntryType::symlink && entry.path.find('/') == std::string::npos &&
         merged_path(entry.path) != entry.path;
}

// Lexical: "usr/share/doc/a" + "../b" -> "usr/share/b".
std::string link_destination(std::string_view link, std::string_view text) {
  std::vector<std::string> parts;
  const auto push = [&](std::string_view path) {
    for (const std::string_view part : split(path, '/')) {
      if (part == ".." && !parts.empty()) {
        parts.pop_back();
      } else if (!part.empty() && part != "." && part != "..") {
        parts.emplace_back(part);
      }
    }
  };
  if (!text.starts_with('/')) {
    push(link.substr(0, std::min(link.rfind('/'), link.size())));
    if (link.find('/') == std::string_view::npos) {
      parts.clear();
    }
  }
  push(text);
  return merged_path(join(parts, "/"));
}

class Placer {
 public:
  Placer(std::span<const DebianPackage> packages, std::span<UnpackedPackage> unpacked,
         std::span<const std::size_t> layers, const LayoutOptions& options)
      : packages_(packages), unpacked_(unpacked), layers_(layers), options_(options) {}

  Result<Layout> run() {
    std::vector<std::size_t> order(packages_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::tie(layers_[a], packages_[a].name) < std::tie(layers_[b], packages_[b].name);
    });
    find_linked_directories();
    for (const std::size_t number : order) {
      for (Entry& entry : unpacked_[number].entries) {
        if (auto placed = place(number, entry); !placed) {
          return fail(
              std::move(placed).error().while_doing("lay out package " + packages_[number].name));
        }
      }
      unpacked_[number].entries = {};
      left_out_.clear();
    }
    return std::move(layout_);
  }

 private:
  // A directory of one package may be a symbolic link of another; dpkg then follows the link, and
  // so do we.
  void find_linked_directories() {
    std::unordered_map<std::string, std::string> links;
    for (const UnpackedPackage& package : unpacked_) {
      for (const Entry& entry : package.entries) {
        if (entry.type == EntryType::symlink && !is_top_link(entry)) {
          const std::string path = merged_path(entry.path);
          links.insert_or_assign(path, link_destination(path, entry.link));
        }
      }
    }
    for (const UnpackedPackage& package : unpacked_) {
      for (const Entry& entry : package.entries) {
        if (entry.type != EntryType::directory) {
          continue;
        }
        const std::string path = merged_path(entry.path);
        if (const auto link = links.find(path); link != links.end() && link->second != path) {
          linked_directories_.insert_or_assign(path, link->second);
        }
      }
    }
  }

  [[nodiscard]] std::string final_path(std::string_view raw) const {
    std::string path = merged_path(raw);
    for (int hop = 0; hop < 8 && !linked_directories_.empty(); ++hop) {
      const auto hit =
          std::find_if(linked_directories_.begin(), linked_directories_.end(),
                       [&](const auto& link) { return path.starts_with(link.first + "/"); });
      if (hit == linked_directories_.end()) {
        break;
      }
      path = hit->second + path.substr(hit->first.size());
    }
    return path;
  }

  [[nodiscard]] bool leaves_out(std::string_view path, EntryType type) const {
    return !options_.documentation && is_left_out(path, type);
  }

  /// Takes the entry, unless it is left out.
  Result<void> place(std::size_t number, Entry& original) {
    std::string path = final_path(original.path);
    if (path.empty() || is_top_link(original)) {
      return {};
    }
    // By the path that the package gives it, as dpkg's path-exclude does, or by where it ends up.
    if (leaves_out(merged_path(original.path), original.type) || leaves_out(path, original.type)) {
      if (original.type == EntryType::file) {
        left_out_.insert_or_assign(std::move(path), std::move(original.content));
      }
      return {};
    }
    Entry entry = std::move(original);
    entry.path = std::move(path);
    entry.mtime = options_.max_mtime ? std::min(entry.mtime, *options_.max_mtime) : entry.mtime;
    if (entry.type == EntryType::directory) {
      return place_directory(number, std::move(entry));
    }
    if (!wins(number, entry)) {
      return {};
    }
    if (entry.type == EntryType::hardlink) {
      follow_hard_link(number, entry);
    }
    layout_.owners.insert_or_assign(entry.path, number);
    return layout_.tree.add(std::move(entry));
  }

  Result<void> place_directory(std::size_t number, Entry entry) {
    if (linked_directories_.contains(entry.path)) {
      return {};
    }
    entry.mtime = options_.made_mtime;
    layout_.owners.emplace(entry.path, number);
    const Entry* existing = layout_.tree.find(entry.path);
    const bool keeps = existing != nullptr && existing->type == EntryType::directory &&
                       (is_plain_directory(entry) || !is_plain_directory(*existing));
    return keeps ? Result<void>{} : layout_.tree.add(std::move(entry));
  }

  // Points the link to where its target went; when that was left out, the link becomes the file.
  void follow_hard_link(std::size_t number, Entry& entry) const {
    entry.link = final_path(entry.link);
    if (leaves_out(entry.link, EntryType::file)) {
      take_content(number, entry);
    }
  }

  // Makes a hard link a file of its own.
  void take_content(std::size_t number, Entry& entry) const {
    if (const auto left = left_out_.find(entry.link); left != left_out_.end()) {
      entry.content = left->second;
    } else if (const Entry* target = file_of(number, entry.link); target != nullptr) {
      entry.content = target->content;
    } else {
      return;
    }
    entry.type = EntryType::file;
    entry.link.clear();
  }

  // A package's file that has a path, or could not have it.
  [[nodiscard]] const Entry* file_of(std::size_t number, const std::string& path) const {
    const auto owner = layout_.owners.find(path);
    if (owner != layout_.owners.end() && owner->second == number) {
      const Entry* placed = layout_.tree.find(path);
      return placed != nullptr && placed->type == EntryType::file ? placed : nullptr;
    }
    if (const auto files = layout_.displaced.find(path); files != layout_.displaced.end()) {
      const auto file = std::ranges::find(files->second, number, &DisplacedFile::number);
      return file != files->second.end() ? &file->entry : nullptr;
    }
    return nullptr;
  }

  // Decides between two packages that ship the same file, and keeps the other's.
  bool wins(std::size_t number, const Entry& entry) {
    const auto found = layout_.owners.find(entry.path);
    if (found == layout_.owners.end() || found->second == number || is_directory(entry.path)) {
      return true;
    }
    const std::size_t other = found->second;
    if (!replaces(other, number) && replaces(number, other)) {
      displace(other, true, *layout_.tree.find(entry.path));
      return true;
    }
    Entry loser = entry;
    loser.link = loser.type == EntryType::hardlink ? final_path(entry.link) : loser.link;
    displace(number, replaces(other, number), std::move(loser));
    return false;
  }

  void displace(std::size_t number, bool is_replaced, Entry entry) {
    if (entry.type == EntryType::hardlink) {
      take_content(number, entry);
    }
    std::vector<DisplacedFile>& files = layout_.displaced[entry.path];
    files.push_back({number, is_replaced, std::move(entry)});
  }

  [[nodiscard]] bool is_directory(const std::string& path) const {
    const Entry* entry = layout_.tree.find(path);
    return entry != nullptr && entry->type == EntryType::directory;
  }

  [[nodiscard]] bool replaces(std::size_t number, std::size_t other) const {
    const Paragraph control(unpacked_[number].control_file("control"));
    const auto clauses = parse_dependencies(control.get("Replaces"), packages_[number].architecture,
                                            packages_[number].name);
    return clauses && std::any_of(clauses->begin(), clauses->end(), [&](const Clause& clause) {
             return clause.front().name == packages_[other].name &&
                    clause.front().accepts(packages_[other].version);
           });
  }

  std::span<const DebianPackage> packages_;
  std::span<UnpackedPackage> unpacked_;
  std::span<const std::size_t> layers_;
  LayoutOptions options_;
  Layout layout_;
  std::unordered_map<std::string, std::string> linked_directories_;
  std::unordered_map<std::string, ContentPtr> left_out_;  // of the package whose turn it is
};

}  // namespace

std::string merged_path(std::string_view path) {
  const std::string_view top = path.substr(0, path.find('/'));
  const bool merged = std::find(merged_directories.begin(), merged_directories.end(), top) !=
                      merged_directories.end();
  return merged ? fmt::format("usr/{}", path) : std::string(path);
}

bool is_left_out(std::string_view path, EntryType type) {
  constexpr std::string_view share = "usr/share/";
  if (!path.starts_with(share)) {
    return false;
  }
  path.remove_prefix(share.size());
  const std::size_t slash = path.find('/');
  const std::string_view top = path.substr(0, slash);
  if (slash == std::string_view::npos ||
      std::find(documentation.begin(), documentation.end(), top) == documentation.end()) {
    return false;
  }
  // usr/share/doc/a -> b is how packages of one source share their copyright file.
  const bool is_copyright = top == "doc" && path.ends_with("/copyright");
  const bool is_shared = top == "doc" && type == EntryType::symlink &&
                         path.find('/', slash + 1) == std::string_view::npos;
  return !is_copyright && !is_shared;
}

Result<Layout> lay_out(std::span<const DebianPackage> packages, std::span<UnpackedPackage> unpacked,
                       std::span<const std::size_t> layers, const LayoutOptions& options) {
  return Placer(packages, unpacked, layers, options).run();
}

void report_conflicts(const Layout& layout, std::span<const DebianPackage> packages,
                      Diagnostics& diagnostics) {
  for (const auto& [path, files] : layout.displaced) {
    const auto owner = layout.owners.find(path);
    for (const DisplacedFile& file : files) {
      if (!file.is_replaced && owner != layout.owners.end()) {
        diagnostics.report(
            Severity::warning,
            fmt::format("/{} is in the packages {} and {}: the first one's is used", path,
                        packages[owner->second].name, packages[file.number].name));
      }
    }
  }
}

}  // namespace fnimage::source::debian
