// See image_view.hpp. Thread-safety: belongs to one thread.
#include "debian/configure/image_view.hpp"

#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr int max_links = 40;

void prepend(std::deque<std::string>& parts, std::string_view path) {
  std::vector<std::string> added;
  for (const std::string_view part : split(path, '/')) {
    if (!part.empty() && part != ".") {
      added.emplace_back(part);
    }
  }
  parts.insert(parts.begin(), added.begin(), added.end());
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

const Entry* ImageView::find(std::string_view path) const {
  return std::as_const(layout_.tree).find(path);
}

const Entry* ImageView::find_real(std::string_view path) const {
  return find(real_path(path));
}

std::optional<std::size_t> ImageView::owner(const std::string& path) const {
  const auto owner = layout_.owners.find(path);
  return owner == layout_.owners.end() ? std::nullopt : std::optional(owner->second);
}

std::string ImageView::real_path(std::string_view path) const {
  std::deque<std::string> rest;
  prepend(rest, path);
  std::string real;
  int links = 0;
  while (!rest.empty()) {
    const std::string part = rest.front();
    rest.pop_front();
    if (part == "..") {
      real = parent_of(real);
      continue;
    }
    std::string next = real;
    next.append(real.empty() ? "" : "/").append(part);
    const Entry* entry = find(next);
    if (rest.empty() || entry == nullptr || entry->type != EntryType::symlink ||
        ++links > max_links) {
      real = next;
      continue;
    }
    if (entry->link.starts_with('/')) {
      real.clear();
    }
    prepend(rest, entry->link);
  }
  return real;
}

std::optional<std::string> ImageView::resolved_path(std::string_view path) const {
  std::string at = real_path(path);
  for (int links = 0; links < max_links; ++links) {
    const Entry* entry = find(at);
    if (entry == nullptr || entry->type != EntryType::symlink) {
      return at;
    }
    at = real_path(entry->link.starts_with('/') ? entry->link : parent_of(at) + "/" + entry->link);
  }
  return std::nullopt;
}

const Entry* ImageView::resolve(std::string_view path) const {
  const std::optional<std::string> real = resolved_path(path);
  return real ? find(*real) : nullptr;
}

const Entry* ImageView::file(std::string_view path) const {
  const Entry* entry = resolve(path);
  for (int links = 0; entry != nullptr && entry->type == EntryType::hardlink; ++links) {
    entry = links < max_links ? find(entry->link) : nullptr;
  }
  return entry != nullptr && entry->type == EntryType::file ? entry : nullptr;
}

std::optional<std::string> ImageView::directory(std::string_view path) const {
  std::optional<std::string> real = resolved_path(path);
  const Entry* entry = real ? find(*real) : nullptr;
  return entry != nullptr && entry->type == EntryType::directory ? std::move(real) : std::nullopt;
}

std::vector<std::string> ImageView::names_in(std::string_view directory) const {
  std::vector<std::string> names;
  const std::string prefix = fmt::format("{}/", directory);
  const auto& entries = layout_.tree.entries();
  auto it = entries.lower_bound(prefix);
  while (it != entries.end() && it->first.starts_with(prefix)) {
    std::string name = it->first.substr(prefix.size());
    if (const std::size_t slash = name.find('/'); slash != std::string::npos) {
      // Below a directory whose own entry came before: on to what follows "directory/name/".
      name.resize(slash);
      it = entries.lower_bound(prefix + name + static_cast<char>('/' + 1));
      continue;
    }
    names.push_back(std::move(name));
    ++it;
  }
  return names;
}

std::vector<std::string> ImageView::paths_below(std::string_view directory) const {
  std::vector<std::string> paths;
  const std::string prefix = fmt::format("{}/", directory);
  const auto& entries = layout_.tree.entries();
  for (auto it = entries.lower_bound(prefix); it != entries.end() && it->first.starts_with(prefix);
       ++it) {
    paths.push_back(it->first);
  }
  return paths;
}

std::vector<std::string> ImageView::files_below(std::string_view directory) const {
  std::vector<std::string> paths = paths_below(directory);
  std::erase_if(paths,
                [&](const std::string& path) { return find(path)->type != EntryType::file; });
  return paths;
}

Result<std::string> ImageView::read(std::string_view path, std::uint64_t limit) const {
  const Entry* entry = file(path);
  if (entry == nullptr) {
    return fail(ErrorCode::not_found, fmt::format("no file /{} in the packages", path));
  }
  if (entry->content == nullptr) {
    return std::string();
  }
  FNIMAGE_TRY(const auto reader, entry->content->open());
  return read_all(*reader, limit);
}

Result<void> ImageView::add(Entry entry) {
  // A directory that is there already stays with its owner; only its metadata is new.
  if (entry.type != EntryType::directory) {
    layout_.owners.erase(entry.path);
  }
  return layout_.tree.add(std::move(entry));
}

Result<void> ImageView::add_package_file(std::size_t owner, std::string_view path,
                                         std::string text) {
  FNIMAGE_CHECK(add_file(path, std::move(text)));
  layout_.owners.insert_or_assign(real_path(path), owner);
  return {};
}

Result<void> ImageView::add_file(std::string_view path, std::string text, std::uint32_t mode,
                                 std::uint32_t gid) {
  std::string id = manifest::Digest::of(text).str();
  return add({.path = real_path(path),
              .type = EntryType::file,
              .mode = mode,
              .gid = gid,
              .mtime = mtime_,
              .content = memory_content(std::move(text), std::move(id))});
}

Result<void> ImageView::add_link(std::string_view path, std::string_view text) {
  return add({.path = real_path(path),
              .type = EntryType::symlink,
              .mode = 0777,
              .mtime = mtime_,
              .link = std::string(text)});
}

Result<void> ImageView::replace_with_link(std::string_view path, std::string_view text) {
  const std::string real = real_path(path);
  if (layer::has_children(layout_.tree.entries(), real)) {
    return {};  // a package has files in it
  }
  layout_.tree.remove(real);
  return add_link(path, text);
}

Result<void> ImageView::add_directory(std::string_view path, std::uint32_t mode, std::uint32_t gid,
                                      std::uint32_t uid) {
  return add({.path = real_path(path),
              .type = EntryType::directory,
              .mode = mode,
              .uid = uid,
              .gid = gid,
              .mtime = mtime_});
}

Result<void> ImageView::copy_default(std::string_view from, std::string_view to) {
  const Entry* source = resolve(from);
  if (source == nullptr || source->type != EntryType::file || find(to) != nullptr) {
    return {};
  }
  Entry copy = *source;
  copy.path = real_path(to);
  return add(std::move(copy));
}

Result<void> ImageView::add_copy(Entry entry, std::string_view path) {
  entry.path = real_path(path);
  entry.mtime = mtime_;
  return add(std::move(entry));
}

Result<void> ImageView::place(const std::string& path, DisplacedFile file) {
  file.entry.path = path;
  FNIMAGE_CHECK(layout_.tree.add(std::move(file.entry)));
  layout_.owners.insert_or_assign(path, file.number);
  return {};
}

Result<bool> ImageView::divert(std::string_view path, std::string_view to,
                               std::optional<std::size_t> keeper) {
  const std::string from = real_path(path);
  const std::string other = real_path(to);
  std::vector<DisplacedFile> files;  // all that packages have for this path, the present one first
  if (const Entry* present = find(from); present != nullptr) {
    const auto owner = layout_.owners.find(from);
    if (owner == layout_.owners.end() || present->type == EntryType::directory) {
      return false;
    }
    files.push_back({owner->second, false, *present});
  }
  if (const auto displaced = layout_.displaced.find(from); displaced != layout_.displaced.end()) {
    files.insert(files.end(), displaced->second.begin(), displaced->second.end());
  }
  const auto moved = std::stable_partition(files.begin(), files.end(),
                                           [&](const auto& file) { return file.number == keeper; });
  if (moved == files.end()) {
    return true;
  }
  if (find(other) != nullptr || from == other) {
    return false;
  }
  layout_.tree.remove(from);
  layout_.owners.erase(from);
  layout_.displaced.erase(from);
  if (moved != files.begin()) {
    FNIMAGE_CHECK(place(from, files.front()));
  }
  FNIMAGE_CHECK(place(other, *moved));
  if (std::next(moved) != files.end()) {
    layout_.displaced[other].assign(std::next(moved), files.end());
  }
  return true;
}

void ImageView::change(std::string_view path, const std::function<void(Entry&)>& change) {
  const Entry* found = resolve(path);
  for (int links = 0; found != nullptr && found->type == EntryType::hardlink; ++links) {
    found = links < max_links ? find(found->link) : nullptr;
  }
  if (found != nullptr) {
    change(*layout_.tree.find(found->path));
  }
}

void ImageView::remove(std::string_view path) {
  layout_.tree.remove(real_path(path));
}

}  // namespace fnimage::source::debian
