// Laying layers over each other, see the header.
#include <algorithm>
#include <utility>

#include <fnimage/check/image_files.hpp>

#include "paths.hpp"

namespace fnimage::check {

namespace {

using layer::Entry;
using layer::EntryType;

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_whiteout = ".wh..wh..opq";
constexpr int max_links = 40;  // as Linux follows
// Of links on one way: each of the 40 may lead through hundreds of directories.
constexpr std::size_t max_walked_bytes = std::size_t{16} << 10;
// Of directories that no entry brings: a deep path names hundreds, each as long as the path.
constexpr std::uint64_t max_implied_bytes = std::uint64_t{64} << 20;

bool is_too_deep(std::string_view path) {
  constexpr std::ptrdiff_t deepest = 256;
  return std::count(path.begin(), path.end(), '/') > deepest;
}

std::string in_directory(std::string_view directory, std::string_view name) {
  std::string path(directory);
  return (path.empty() ? path : path.append("/")).append(name);
}

}  // namespace

void ImageFiles::add_layer(const std::string& name, const std::vector<Entry>& entries) {
  layers_.push_back(name);
  last_directory_.reset();
  // A whiteout hides what is below its own layer only, wherever in the archive it stands.
  for (const Entry& entry : entries) {
    if (name_of(entry.path).starts_with(whiteout_prefix)) {
      hide(entry);
    }
  }
  for (const Entry& entry : entries) {
    if (!entry.path.empty() && !name_of(entry.path).starts_with(whiteout_prefix)) {
      put(entry);
    }
  }
}

void ImageFiles::add_layer(const std::string& name, const layer::FileTree& tree) {
  layers_.push_back(name);
  last_directory_.reset();
  // Its entries are in the order of their paths: links may stand before what they link to.
  for (const bool links : {false, true}) {
    for (const auto& [path, entry] : tree.entries()) {
      if (!path.empty() && links == (entry.type == EntryType::hardlink)) {
        put(entry);
      }
    }
  }
}

void ImageFiles::hide(const Entry& whiteout) {
  if (is_too_deep(whiteout.path) || implied_bytes_ > max_implied_bytes) {
    has_too_deep_ = true;
    return;
  }
  last_directory_.reset();
  const std::string_view name = name_of(whiteout.path);
  const std::string_view hidden = name.substr(whiteout_prefix.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    bad_whiteouts_.push_back(whiteout.path);
    return;
  }
  const std::string directory = place_of(directory_of(whiteout.path));
  if (name == opaque_whiteout) {
    remove_below(directory);
    return;
  }
  const std::string path = in_directory(directory, hidden);
  remove_below(path);
  nodes_.erase(path);
}

void ImageFiles::remove_below(const std::string& directory) {
  const std::string prefix = directory.empty() ? directory : directory + "/";
  auto at = nodes_.lower_bound(prefix);
  while (at != nodes_.end() && at->first.starts_with(prefix)) {
    at = nodes_.erase(at);
  }
}

std::string ImageFiles::place_of(std::string_view path) {
  if (path.empty()) {
    return {};
  }
  // A link may lead to the root itself, which is no node.
  if (const std::optional<Found> found = walk(path);
      found && (found->path.empty() ||
                (found->node != nullptr && found->node->entry.type == EntryType::directory))) {
    return found->path;
  }
  std::string place = in_directory(place_of(directory_of(path)), name_of(path));
  implied_bytes_ += place.size();
  Node made{.entry = {.path = place, .type = EntryType::directory, .mode = 0755},
            .layer = layers_.size() - 1};
  nodes_.insert_or_assign(place, std::move(made));
  return place;
}

std::string ImageFiles::destination_of(std::string_view path) {
  const std::string_view directory = directory_of(path);
  if (!last_directory_ || last_directory_->first != directory) {
    last_directory_.emplace(directory, place_of(directory));
  }
  return in_directory(last_directory_->second, name_of(path));
}

void ImageFiles::put(Entry entry) {
  if (is_too_deep(entry.path) || is_too_deep(entry.link) || implied_bytes_ > max_implied_bytes) {
    has_too_deep_ = true;
    return;
  }
  const std::string path = destination_of(entry.path);
  if (entry.type == EntryType::hardlink) {
    const auto linked = nodes_.find(destination_of(entry.link));
    if (linked == nodes_.end() || linked->second.entry.type == EntryType::directory) {
      broken_links_.push_back(path);
      return;
    }
    entry = linked->second.entry;
  }
  entry.path = path;
  // Nobody here packs anything, and attributes, which may be megabytes, would be copied with every
  // hard link.
  entry.xattrs.clear();
  const auto replaced = nodes_.find(path);
  const bool is_new = replaced == nodes_.end();
  if (!is_new && entry.type != EntryType::directory) {
    remove_below(path);
  }
  if (!is_new || entry.type == EntryType::symlink) {
    last_directory_.reset();  // it may lead elsewhere now
  }
  nodes_.insert_or_assign(path, Node{.entry = std::move(entry), .layer = layers_.size() - 1});
}

const ImageFiles::Node* ImageFiles::find(std::string_view path) const {
  const auto found = nodes_.find(path);
  return found == nodes_.end() ? nullptr : &found->second;
}

std::optional<ImageFiles::Found> ImageFiles::resolve(std::string_view path) const {
  std::optional<Found> found = walk(path);
  return found && found->node != nullptr ? std::move(found) : std::nullopt;
}

std::optional<ImageFiles::Found> ImageFiles::walk(std::string_view path) const {
  std::string rest(path);
  std::size_t at = 0;
  Found found;
  int links = 0;
  std::size_t walked = 0;
  while (at < rest.size()) {
    const std::size_t slash = std::min(rest.find('/', at), rest.size());
    const std::string_view part = std::string_view(rest).substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      found = {.path = std::string(directory_of(found.path))};
      found.node = find(found.path);
      continue;
    }
    if (found.node != nullptr && found.node->entry.type != EntryType::directory) {
      return std::nullopt;
    }
    const std::string next = in_directory(found.path, part);
    const Node* node = find(next);
    if (node == nullptr) {
      return std::nullopt;
    }
    if (node->entry.type != EntryType::symlink) {
      found = {.path = next, .node = node};
      continue;
    }
    const std::string& link = node->entry.link;
    walked += link.size();
    if (++links > max_links || walked > max_walked_bytes) {
      return std::nullopt;
    }
    if (link.starts_with('/')) {
      found = {};
    }
    rest = in_directory(link, at < rest.size() ? std::string_view(rest).substr(at) : "");
    at = 0;
  }
  return found;
}

}  // namespace fnimage::check
