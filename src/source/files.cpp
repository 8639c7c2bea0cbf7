// The user's files as layer content: a walk that follows no link below its root, and metadata that
// depends on nothing but names, content and the owner's execute bit (layer keys and digests follow
// from it). Every file is hashed when it is found; the bytes that are packed later must have that
// hash, or else the cache would remember a layer under a wrong key.
// Thread-safety: pure but for reading the file system.
#include <algorithm>
#include <functional>

#include <fmt/format.h>
#include <sys/stat.h>

#include <fnimage/base/text.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/source/files.hpp>

namespace fnimage::source {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_depth = 512;  // directories inside each other
constexpr std::size_t hash_chunk = std::size_t{256} * 1024;

/// A file's bytes as they were when it was hashed; reading anything else is a verification error.
class HashedContent final : public Content {
 public:
  HashedContent(ContentPtr file, manifest::Digest digest, std::string what)
      : file_(std::move(file)), digest_(std::move(digest)), what_(std::move(what)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return file_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    FNIMAGE_TRY(std::unique_ptr<Reader> reader, file_->open(offset));
    if (offset > 0) {
      return reader;  // a part has no digest to compare with
    }
    return manifest::verifying_reader(std::move(reader), digest_, file_->size(), what_);
  }
  [[nodiscard]] std::string id() const override { return digest_.str(); }
  [[nodiscard]] std::optional<fs::path> unverified_file() const override { return file_->file(); }

 private:
  ContentPtr file_;
  manifest::Digest digest_;
  std::string what_;
};

Result<manifest::Digest> hash_content(const Content& content, const std::stop_token& stop = {}) {
  FNIMAGE_TRY(const std::unique_ptr<Reader> reader, content.open());
  manifest::Hasher hasher;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(hash_chunk, content.size() + 1));
  while (true) {
    FNIMAGE_CHECK(require_not_stopped(stop));
    FNIMAGE_TRY(const std::size_t count, reader->read(buffer));
    if (count == 0) {
      return hasher.finish();
    }
    hasher.update(Bytes(buffer).first(count));
  }
}

Result<struct stat> status_of(const fs::path& path, bool follow) {
  struct stat status {};
  const int failed = follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status);
  if (failed != 0) {
    return fail(error_from_errno(errno, "read " + path.string()));
  }
  return status;
}

/// Names in a directory, sorted, so that errors too are the same on every file system.
Result<std::vector<std::string>> list_directory(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) {
    return fail(error_from_errno(error.value(), "list " + directory.string()));
  }
  std::ranges::sort(names);
  return names;
}

std::string join_path(std::string_view directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

/// True when a relative link at `path` (relative to the root) leads to something below the root.
bool stays_inside(std::string_view path, std::string_view link) {
  auto depth = std::ranges::count(path, '/');
  for (const std::string_view part : split(link, '/')) {
    if (part == "..") {
      --depth;
    } else if (!part.empty() && part != ".") {
      ++depth;
    }
    if (depth < 0) {
      return false;
    }
  }
  return !link.starts_with('/');
}

/// What of a directory is wanted.
class Selection {
 public:
  Selection(std::vector<PathPattern> patterns, const IgnoreRules& ignore)
      : patterns_(std::move(patterns)), used_(patterns_.size(), 0), ignore_(&ignore) {}

  bool takes(std::string_view path) {
    bool wanted = false;
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (covers(patterns_[i], path) && !ignore_->ignores(path)) {
        used_[i] = 1;
        wanted = true;
      }
    }
    return wanted;
  }

  [[nodiscard]] bool enters(std::string_view directory) const {
    const bool matches = std::ranges::any_of(patterns_, [&](const PathPattern& pattern) {
      return covers(pattern, directory) || pattern.may_match_below(directory);
    });
    return matches && (!ignore_->ignores(directory) || ignore_->may_include_below(directory));
  }

  /// The first pattern that took nothing.
  [[nodiscard]] const PathPattern* unused() const {
    const auto found = std::ranges::find(used_, 0);
    return found == used_.end() ? nullptr
                                : &patterns_[static_cast<std::size_t>(found - used_.begin())];
  }

 private:
  /// "." is all there is.
  static bool covers(const PathPattern& pattern, std::string_view path) {
    return pattern.text().empty() || pattern.covers(path);
  }

  std::vector<PathPattern> patterns_;
  std::vector<char> used_;
  const IgnoreRules* ignore_;
};

/// Puts parts of the directory `root` into a tree below `target`.
class Importer {
 public:
  Importer(fs::path root, std::string target, const FileOptions& options, layer::FileTree& tree)
      : root_(std::move(root)), target_(std::move(target)), options_(options), tree_(tree) {}

  /// Everything below `directory` (relative to the root) that `selection` takes; null = all.
  Result<void> add_below(const std::string& directory, Selection* selection,
                         std::size_t depth = 0) {
    if (depth > max_depth) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} is more than {} directories deep",
                              printable((root_ / directory).string()), max_depth));
    }
    FNIMAGE_TRY(const std::vector<std::string> names, list_directory(root_ / directory));
    for (const std::string& name : names) {
      const std::string path = join_path(directory, name);
      FNIMAGE_TRY(const struct stat status, status_of(root_ / path, false));
      if (selection == nullptr || selection->takes(path)) {
        FNIMAGE_CHECK(add(path, status));
      }
      if (S_ISDIR(status.st_mode) && (selection == nullptr || selection->enters(path))) {
        FNIMAGE_CHECK(add_below(path, selection, depth + 1));
      }
    }
    return {};
  }

  Result<void> add_directory(std::string path) {
    FNIMAGE_CHECK(add_parents(path));
    return tree_.add(entry(std::move(path), layer::EntryType::directory, 0755));
  }

  Result<void> add_file(const fs::path& file, const struct stat& status, std::string path) {
    FNIMAGE_CHECK(add_parents(path));
    FNIMAGE_TRY(ContentPtr content, file_content(file));
    FNIMAGE_TRY(manifest::Digest digest, hash_content(*content, options_.stop));
    const std::uint32_t mode = (status.st_mode & S_IXUSR) != 0 ? 0755 : 0644;
    layer::Entry result =
        entry(std::move(path), layer::EntryType::file, options_.file_mode.value_or(mode));
    result.content = std::make_shared<HashedContent>(
        std::move(content), std::move(digest),
        fmt::format("{} (changed since the build began)", printable(file.string())));
    return tree_.add(std::move(result));
  }

 private:
  [[nodiscard]] layer::Entry entry(std::string path, layer::EntryType type,
                                   std::uint32_t mode) const {
    return {.path = std::move(path),
            .type = type,
            .mode = mode,
            .uid = options_.uid,
            .gid = options_.gid,
            .mtime = options_.mtime};
  }

  Result<void> add(const std::string& path, const struct stat& status) {
    const fs::path file = root_ / path;
    switch (status.st_mode & S_IFMT) {
      case S_IFDIR:
        return add_directory(join_path(target_, path));
      case S_IFREG:
        return add_file(file, status, join_path(target_, path));
      case S_IFLNK:
        return add_link(file, path);
      default:
        return fail(ErrorCode::invalid_input,
                    fmt::format("{} is a socket, pipe or device", printable(file.string())),
                    "leave it out with .fnimageignore");
    }
  }

  Result<void> add_link(const fs::path& file, const std::string& path) {
    std::error_code error;
    const std::string link = fs::read_symlink(file, error).string();
    if (error) {
      return fail(error_from_errno(error.value(), "read link " + file.string()));
    }
    if (!stays_inside(path, link)) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("the symbolic link {} leads out of {} (to {})",
                              printable(file.string()), root_.string(), printable(link)),
                  "copy the file into the directory, or leave the link out with .fnimageignore");
    }
    std::string place = join_path(target_, path);
    FNIMAGE_CHECK(add_parents(place));
    layer::Entry result = entry(std::move(place), layer::EntryType::symlink, 0777);
    result.link = link;
    return tree_.add(std::move(result));
  }

  /// Directories that no pattern named; above the target they belong to root.
  Result<void> add_parents(const std::string& path) {
    for (std::size_t end = path.find('/'); end != std::string::npos;
         end = path.find('/', end + 1)) {
      if (tree_.find(path.substr(0, end)) != nullptr) {
        continue;
      }
      layer::Entry parent = entry(path.substr(0, end), layer::EntryType::directory, 0755);
      if (end < target_.size()) {
        parent.uid = 0;
        parent.gid = 0;
      }
      FNIMAGE_CHECK(tree_.add(std::move(parent)));
    }
    return {};
  }

  fs::path root_;
  std::string target_;
  const FileOptions& options_;
  layer::FileTree& tree_;
};

/// "did you mean …" for a pattern that matched nothing: compares its first part that does not exist
/// with what is there.
std::string suggest(const fs::path& root, const PathPattern& pattern) {
  fs::path directory = root;
  std::string found;
  for (const std::string_view part : split(pattern.text(), '/')) {
    std::error_code error;
    if (fs::exists(directory / part, error)) {
      directory /= part;
      found = join_path(found, part);
      continue;
    }
    const Result<std::vector<std::string>> names = list_directory(directory);
    if (!names) {
      break;
    }
    const std::vector<std::string_view> candidates(names->begin(), names->end());
    if (const auto name = nearest(part, candidates)) {
      return fmt::format("did you mean \"{}\"?", printable(join_path(found, *name)));
    }
    break;
  }
  return "correct the name, or see whether .fnimageignore or .dockerignore excludes it";
}

}  // namespace

Result<void> add_matching(const fs::path& root, const std::vector<std::string>& patterns,
                          const IgnoreRules& ignore, std::string_view target,
                          const FileOptions& options, layer::FileTree& tree) {
  FNIMAGE_TRY(std::string place, layer::clean_path(target));
  std::vector<PathPattern> parsed;
  for (const std::string& pattern : patterns) {
    FNIMAGE_TRY(PathPattern one, PathPattern::parse(pattern));
    if (one.text() == ".." || one.text().starts_with("../")) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("\"{}\" leads out of {}", printable(pattern), root.string()),
                  "copy what is needed below the build file's directory");
    }
    parsed.push_back(std::move(one));
  }
  Selection selection(std::move(parsed), ignore);
  Importer importer(root, place, options, tree);
  if (!place.empty()) {
    FNIMAGE_CHECK(importer.add_directory(place));
  }
  FNIMAGE_CHECK(importer.add_below("", &selection));
  if (const PathPattern* unused = selection.unused()) {
    return fail(
        ErrorCode::not_found,
        fmt::format("\"{}\" matches nothing in {}", printable(unused->text()), root.string()),
        suggest(root, *unused));
  }
  return {};
}

Result<void> add_path(const fs::path& from, std::string_view to, const FileOptions& options,
                      layer::FileTree& tree) {
  FNIMAGE_TRY(std::string place, layer::clean_path(to));
  FNIMAGE_TRY(const struct stat status, status_of(from, true));
  Importer importer(from, place, options, tree);
  if (S_ISDIR(status.st_mode)) {
    if (!place.empty()) {
      FNIMAGE_CHECK(importer.add_directory(place));
    }
    return importer.add_below("", nullptr);
  }
  if (!S_ISREG(status.st_mode) || place.empty()) {
    return fail(ErrorCode::invalid_input,
                place.empty() ? fmt::format("{} is no directory, so it cannot become \"{}\"",
                                            printable(from.string()), to)
                              : fmt::format("{} is neither a file nor a directory",
                                            printable(from.string())));
  }
  return importer.add_file(from, status, std::move(place));
}

Result<void> add_archive(const fs::path& archive, std::string_view to,
                         const fs::path& pack_directory, std::optional<std::int64_t> max_mtime,
                         layer::FileTree& tree) {
  FNIMAGE_TRY(const std::string place, layer::clean_path(to));
  FNIMAGE_TRY(const ContentPtr content, file_content(archive));
  FNIMAGE_TRY(const manifest::Digest digest, hash_content(*content));
  FNIMAGE_TRY(layer::ArchiveListing listing,
              layer::unpack_tar([&] { return content->open(); }, digest.hex(), pack_directory,
                                archive.string()));
  for (layer::Entry& entry : listing.entries) {
    if (entry.path.empty() && place.empty()) {
      continue;  // the archive's "./" is the image's root, whose metadata is not ours
    }
    entry.path = entry.path.empty() ? place : join_path(place, entry.path);
    if (entry.type == layer::EntryType::hardlink) {
      entry.link = join_path(place, entry.link);
    }
    entry.mtime = std::min(entry.mtime, max_mtime.value_or(entry.mtime));
    FNIMAGE_CHECK(tree.add(std::move(entry)));
  }
  return {};
}

}  // namespace fnimage::source
