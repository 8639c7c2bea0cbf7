// See the header. Directories get their modes and times at the end, deepest first: a read-only one
// could not be filled, and filling changes its time.
#include "tree_writer.hpp"

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>

#include "descriptor.hpp"

namespace fnimage::run {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr int open_directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t permission_bits = 01777;
constexpr std::size_t block_bytes = std::size_t{256} << 10;

struct SplitPath {
  std::string_view directory;
  std::string name;
};

SplitPath split_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? SplitPath{.directory = {}, .name = std::string(path)}
                                         : SplitPath{.directory = path.substr(0, slash),
                                                     .name = std::string(path.substr(slash + 1))};
}

bool is_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('\0') == std::string_view::npos;
}

tl::unexpected<Error> not_written(int error, std::string_view path) {
  return fail(error_from_errno(error, fmt::format("unpack {}", printable(path))));
}

Result<void> write_block(int file, Bytes bytes, std::string_view path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return not_written(errno, path);
    }
    bytes = bytes.subspan(written < 0 ? 0 : static_cast<std::size_t>(written));
  }
  return {};
}

class TreeWriter {
 public:
  TreeWriter(Descriptor root, const WriteOptions& options)
      : root_(std::move(root)), options_(options), block_(block_bytes) {}

  Result<void> write(const layer::FileTree::Map& entries) {
    for (const auto& [path, entry] : entries) {
      FNIMAGE_CHECK(make(path, entry));
    }
    for (const auto& [path, entry] : entries) {
      if (entry.type == EntryType::hardlink) {
        FNIMAGE_CHECK(link(path, entry));
      }
    }
    for (auto at = entries.rbegin(); at != entries.rend(); ++at) {
      if (at->second.type == EntryType::directory) {
        FNIMAGE_TRY(const Descriptor directory, open_below(root_.get(), at->first));
        FNIMAGE_CHECK(finish(directory.get(), at->second, S_IRWXU));
      }
    }
    return {};
  }

 private:
  Result<void> make(const std::string& path, const Entry& entry) {
    if (options_.stop.stop_requested()) {
      return fail(ErrorCode::cancelled, "stopped");
    }
    const auto [directory, name] = split_path(path);
    if (!is_name(name)) {
      return fail(ErrorCode::invalid_input, fmt::format("{} is no name", printable(path)));
    }
    FNIMAGE_TRY(const int parent, enter(directory));
    switch (entry.type) {
      case EntryType::directory:
        return check(::mkdirat(parent, name.c_str(), S_IRWXU), path);
      case EntryType::symlink:
        FNIMAGE_CHECK(check(::symlinkat(entry.link.c_str(), parent, name.c_str()), path));
        return own(parent, name, entry);
      case EntryType::fifo:
        FNIMAGE_CHECK(check(::mkfifoat(parent, name.c_str(), entry.mode & permission_bits), path));
        return own(parent, name, entry);
      case EntryType::file:
        return make_file(parent, name, entry);
      default:
        return {};  // hard links come when all else is there; devices not at all
    }
  }

  Result<void> make_file(int parent, const std::string& name, const Entry& entry) {
    const Descriptor file(::openat(parent, name.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                   S_IRUSR | S_IWUSR));
    if (!file) {
      return not_written(errno, entry.path);
    }
    if (entry.content) {
      FNIMAGE_TRY(const auto reader, entry.content->open());
      while (true) {
        FNIMAGE_TRY(const std::size_t bytes, reader->read(block_));
        if (bytes == 0) {
          break;
        }
        FNIMAGE_CHECK(write_block(file.get(), Bytes(block_).first(bytes), entry.path));
      }
    }
    return finish(file.get(), entry, S_IRUSR);
  }

  Result<void> link(const std::string& path, const Entry& entry) {
    const auto [from_directory, from] = split_path(entry.link);
    const auto [to_directory, to] = split_path(path);
    if (!is_name(from)) {
      return fail(ErrorCode::invalid_input, fmt::format("{} is no name", printable(entry.link)));
    }
    FNIMAGE_TRY(const Descriptor source, open_below(root_.get(), from_directory));
    FNIMAGE_TRY(const int target, enter(to_directory));
    if (::linkat(source.get(), from.c_str(), target, to.c_str(), 0) != 0) {
      return fail(error_from_errno(errno, fmt::format("unpack {}, a hard link to {}",
                                                      printable(path), printable(entry.link))));
    }
    return {};
  }

  /// Owner, mode and time.
  Result<void> finish(int file, const Entry& entry, mode_t needed) const {
    if (options_.owners && ::fchown(file, entry.uid, entry.gid) != 0) {
      return not_written(errno, entry.path);
    }
    const mode_t mode = (entry.mode & permission_bits) | (options_.owners ? 0 : needed);
    const std::array<timespec, 2> times{timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                                        timespec{.tv_sec = entry.mtime, .tv_nsec = 0}};
    FNIMAGE_CHECK(check(::fchmod(file, mode), entry.path));
    return check(::futimens(file, times.data()), entry.path);
  }

  [[nodiscard]] Result<void> own(int parent, const std::string& name, const Entry& entry) const {
    return options_.owners
               ? check(::fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW),
                       entry.path)
               : Result<void>();
  }

  static Result<void> check(int result, std::string_view path) {
    return result == 0 ? Result<void>() : not_written(errno, path);
  }

  /// Entries of a directory follow each other. Owned by the writer.
  Result<int> enter(std::string_view directory) {
    if (!current_ || directory != current_path_) {
      FNIMAGE_TRY(current_, open_below(root_.get(), directory));
      current_path_ = directory;
    }
    return current_.get();
  }

  static Result<Descriptor> open_below(int root, std::string_view path) {
    Descriptor at(::openat(root, ".", open_directory_flags));
    for (const std::string_view part : split(path, '/')) {
      if (path.empty()) {
        break;
      }
      if (!is_name(part)) {
        return fail(ErrorCode::invalid_input, fmt::format("{} is no path", printable(path)));
      }
      Descriptor next(::openat(at.get(), std::string(part).c_str(), open_directory_flags));
      if (!next) {
        const int error = errno;
        return error == ELOOP || error == ENOTDIR || error == ENOENT
                   ? fail(ErrorCode::invalid_input,
                          fmt::format("{} of {} is no directory", printable(part), printable(path)))
                   : not_written(error, path);
      }
      at = std::move(next);
    }
    return at;
  }

  Descriptor root_;
  const WriteOptions& options_;
  std::vector<std::byte> block_;
  std::string current_path_;
  Descriptor current_;
};

}  // namespace

Result<void> write_tree(const layer::FileTree::Map& entries, const std::filesystem::path& root,
                        const WriteOptions& options) {
  Descriptor directory(::open(root.c_str(), open_directory_flags));
  if (!directory) {
    return not_written(errno, root.string());
  }
  return TreeWriter(std::move(directory), options).write(entries);
}

}  // namespace fnimage::run
