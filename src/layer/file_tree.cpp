// The tree is one sorted map: byte order of whole paths puts every directory before what it holds
// ("a" < "a-b" < "a/b"), but not always next to it, so children are found from "a/" on.
// Thread-safety: see the header.
#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/layer/file_tree.hpp>

namespace fnimage::layer {

namespace {

constexpr int max_links = 40;  // what Linux follows before ELOOP
constexpr std::size_t max_link_bytes = 4096;
// What few bytes of an archive may ask for (reliability A17): deep paths name directories that
// nothing else does, each as long as the path, and every link to a file moves when it is replaced.
constexpr std::ptrdiff_t max_depth = 256;
constexpr std::uint64_t max_implied_bytes = std::uint64_t{64} << 20;
constexpr std::uint64_t max_moved_links = 200'000;
constexpr std::size_t max_walked = 1024;  // parts of links on one way

std::string_view parent_of(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

/// Parts of a path that are still to be walked, the next one last.
void push_parts(std::vector<std::string>& parts, std::string_view path) {
  const std::vector<std::string_view> all = split(path, '/');
  for (auto part = all.rbegin(); part != all.rend(); ++part) {
    if (!part->empty() && *part != ".") {
      parts.emplace_back(*part);
    }
  }
}

/// Where a path leads when all symbolic links on the way are followed; the last part is followed
/// too when `follow_last`. nullopt: too many links. The result may name something that is missing.
std::optional<std::string> walk(const FileTree::Map& entries, std::string_view path,
                                bool follow_last) {
  std::vector<std::string> parts;
  push_parts(parts, path);
  std::string at;
  int links = 0;
  std::size_t walked = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.back());
    parts.pop_back();
    if (part == "..") {
      at.resize(parent_of(at).size());
      continue;
    }
    const std::size_t parent_size = at.size();
    if (!at.empty()) {
      at += '/';
    }
    at += part;
    if (parts.empty() && !follow_last) {
      break;
    }
    const auto found = entries.find(at);
    if (found == entries.end() || found->second.type != EntryType::symlink) {
      continue;
    }
    const std::string& target = found->second.link;
    at.resize(target.starts_with('/') ? 0 : parent_size);
    const std::size_t before = parts.size();
    push_parts(parts, target);
    walked += parts.size() - before;
    if (++links > max_links || walked > max_walked) {
      return std::nullopt;
    }
  }
  return at;
}

bool is_directory(const FileTree::Map& entries, std::string_view path) {
  if (path.empty()) {
    return true;
  }
  const auto found = entries.find(path);
  return found != entries.end() && found->second.type == EntryType::directory;
}

Result<void> check_link_text(const Entry& entry) {
  if (entry.type != EntryType::symlink && entry.type != EntryType::hardlink) {
    return {};
  }
  if (entry.link.empty() || entry.link.size() > max_link_bytes ||
      entry.link.find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{}: the link's target is empty, longer than {} bytes or contains a "
                            "NUL byte",
                            printable(entry.path), max_link_bytes));
  }
  return {};
}

/// Hashes fields so that different trees cannot give the same bytes: every text has its length
/// before it, every number is eight bytes.
class KeyHasher {
 public:
  void number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) {
      buffer_ += static_cast<char>((value >> (8 * i)) & 0xFF);
    }
  }
  void text(std::string_view value) {
    number(value.size());
    buffer_ += value;
    if (buffer_.size() > flush_at) {
      flush();
    }
  }
  manifest::Digest finish() {
    flush();
    return hasher_.finish();
  }

 private:
  void flush() {
    hasher_.update(as_bytes(buffer_));
    buffer_.clear();
  }
  static constexpr std::size_t flush_at = 65536;
  std::string buffer_;
  manifest::Hasher hasher_;
};

}  // namespace

bool has_children(const FileTree::Map& entries, std::string_view directory) {
  const std::string prefix = fmt::format("{}/", directory);
  const auto next = entries.lower_bound(prefix);
  return next != entries.end() && next->first.starts_with(prefix);
}

Result<std::string> FileTree::place_of(std::string_view path) const {
  const std::optional<std::string> place = walk(entries_, path, false);
  if (!place) {
    return fail(ErrorCode::invalid_input,
                fmt::format("too many symbolic links on the way to {}", printable(path)));
  }
  return *place;
}

Result<void> FileTree::make_parents(const std::string& path) {
  for (std::string_view parent = parent_of(path); !is_directory(entries_, parent);
       parent = parent_of(parent)) {
    const auto found = entries_.find(parent);
    if (found != entries_.end()) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("cannot put {} into {}, which is not a directory", printable(path),
                              printable(parent)));
    }
    implied_bytes_ += parent.size();
    if (implied_bytes_ > max_implied_bytes) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("{} and what is beside it lie in too many directories", printable(path)));
    }
    Entry directory;
    directory.path = std::string(parent);
    directory.type = EntryType::directory;
    directory.mode = 0755;
    entries_.emplace(directory.path, std::move(directory));
  }
  return {};
}

void FileTree::detach_links(const std::string& target) {
  const auto [first, last] = links_.equal_range(target);
  if (first == last) {
    return;
  }
  std::vector<std::string> names;
  for (auto link = first; link != last; ++link) {
    const Entry* entry = find(link->second);
    if (entry != nullptr && entry->type == EntryType::hardlink && entry->link == target) {
      names.push_back(link->second);
    }
  }
  links_.erase(first, last);
  const auto old = entries_.find(target);
  if (names.empty() || old == entries_.end()) {
    return;
  }
  // What loses its name lives on under the first of its other names.
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  moved_links_ += names.size();
  Entry heir = old->second;
  heir.path = names.front();
  entries_.find(names.front())->second = std::move(heir);
  for (std::size_t i = 1; i < names.size(); ++i) {
    entries_.find(names[i])->second.link = names.front();
    links_.emplace(names.front(), names[i]);
  }
  if (old->second.type == EntryType::hardlink) {
    links_.emplace(old->second.link, names.front());
  }
}

Result<void> FileTree::add(Entry entry) {
  FNIMAGE_TRY(const std::string path, clean_path(entry.path));
  if (path.empty()) {
    if (entry.type == EntryType::directory) {
      return {};  // a layer does not carry the root directory itself
    }
    return fail(ErrorCode::invalid_input, "an entry that is not a directory has no name");
  }
  if (std::count(path.begin(), path.end(), '/') > max_depth) {
    return fail(ErrorCode::invalid_input, fmt::format("{} lies below more than {} directories",
                                                      printable(path, 80), max_depth));
  }
  FNIMAGE_TRY(entry.path, place_of(path));
  if (entry.path.empty()) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is not a place", printable(path)));
  }
  FNIMAGE_CHECK(check_link_text(entry));
  if (entry.type == EntryType::hardlink) {
    FNIMAGE_TRY(const std::string target, clean_path(entry.link));
    FNIMAGE_TRY(entry.link, place_of(target));
    if (entry.link == entry.path) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is a hard link to itself", printable(entry.path)));
    }
  }
  FNIMAGE_CHECK(make_parents(entry.path));
  return put(std::move(entry));
}

Result<void> FileTree::put(Entry entry) {
  const auto found = entries_.find(entry.path);
  if (found != entries_.end()) {
    const EntryType old = found->second.type;
    if (entry.type == EntryType::directory && old == EntryType::symlink) {
      const Entry* target = resolve(entry.path);
      if (target != nullptr && target->type == EntryType::directory) {
        return {};
      }
    }
    if (entry.type != EntryType::directory && old == EntryType::directory &&
        has_children(entries_, entry.path)) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("cannot replace the directory {}: it is not empty", printable(entry.path)));
    }
    if (moved_links_ > max_moved_links) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{}: files with many hard links are replaced too often",
                              printable(entry.path)));
    }
    if (old != EntryType::directory) {
      detach_links(entry.path);
    }
  }
  if (entry.type == EntryType::hardlink) {
    links_.emplace(entry.link, entry.path);
  }
  std::string path = entry.path;
  entries_.insert_or_assign(std::move(path), std::move(entry));
  return {};
}

bool FileTree::remove(std::string_view path) {
  const Result<std::string> clean = clean_path(path);
  if (!clean || clean->empty()) {
    return false;
  }
  bool removed = false;
  const auto drop = [&](Map::iterator at) {
    detach_links(at->first);
    removed = true;
    return entries_.erase(at);
  };
  const std::string prefix = *clean + '/';
  for (auto at = entries_.lower_bound(prefix);
       at != entries_.end() && at->first.starts_with(prefix);) {
    at = drop(at);
  }
  if (const auto at = entries_.find(*clean); at != entries_.end()) {
    drop(at);
  }
  return removed;
}

const Entry* FileTree::find(std::string_view path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

Entry* FileTree::find(std::string_view path) {
  const auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

const Entry* FileTree::resolve(std::string_view path) const {
  const std::optional<std::string> place = walk(entries_, path, true);
  return place ? find(*place) : nullptr;
}

std::uint64_t FileTree::content_size() const noexcept {
  std::uint64_t total = 0;
  for (const auto& [path, entry] : entries_) {
    total += entry.type == EntryType::file ? entry.size() : 0;
  }
  return total;
}

std::optional<manifest::Digest> FileTree::key() const {
  KeyHasher hasher;
  hasher.text("fnimage tree 1");
  for (const auto& [path, entry] : entries_) {
    const bool is_file = entry.type == EntryType::file;
    const std::string content = is_file && entry.content ? entry.content->id() : std::string();
    if (is_file && entry.content && content.empty()) {
      return std::nullopt;
    }
    hasher.text(path);
    for (const std::uint64_t field : std::to_array<std::uint64_t>(
             {static_cast<std::uint64_t>(entry.type), entry.mode, entry.uid, entry.gid,
              static_cast<std::uint64_t>(entry.mtime), entry.device_major, entry.device_minor,
              is_file ? entry.size() : 0, entry.xattrs.size()})) {
      hasher.number(field);
    }
    hasher.text(entry.link);
    for (const auto& [name, value] : entry.xattrs) {
      hasher.text(name);
      hasher.text(value);
    }
    hasher.text(content);
  }
  return hasher.finish();
}

}  // namespace fnimage::layer
