#include "store/garbage_files.hpp"

#include <cerrno>
#include <cstdio>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace fnimage::server {

namespace fs = std::filesystem;

namespace {

struct CloseListing {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

}  // namespace

Result<std::optional<GarbageFiles>> GarbageFiles::open(const fs::path& path, FileAge oldest_kept) {
  FileHandle directory(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (directory) {
    return std::optional(GarbageFiles(path, std::move(directory), oldest_kept));
  }
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
    return std::optional<GarbageFiles>();
  }
  return fail(error_from_errno(errno, "open directory " + path.string()));
}

Result<void> GarbageFiles::for_each(
    const std::function<bool(const std::string& name)>& call) const {
  const int handle =
      ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
  const std::unique_ptr<DIR, CloseListing> listing(handle < 0 ? nullptr : ::fdopendir(handle));
  if (!listing) {
    const int reason = errno;
    const FileHandle unused(handle);
    return fail(error_from_errno(reason, "list " + path_.string()));
  }
  errno = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this thread's own
  while (const dirent* entry = ::readdir(listing.get())) {
    if (!call(entry->d_name)) {
      return {};
    }
    errno = 0;
  }
  return errno == 0 ? Result<void>() : fail(error_from_errno(errno, "list " + path_.string()));
}

std::optional<OldFile> GarbageFiles::find_old(const std::string& name) const {
  struct stat status {};
  if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  const FileAge modified{std::chrono::duration_cast<FileAge::duration>(
      std::chrono::seconds(status.st_mtim.tv_sec) +
      std::chrono::nanoseconds(status.st_mtim.tv_nsec))};
  if (modified >= oldest_kept_) {
    return std::nullopt;
  }
  return OldFile{.name = name,
                 .bytes = status.st_nlink == 1 ? static_cast<std::uint64_t>(status.st_size) : 0};
}

std::string GarbageFiles::name_aside(const std::string& name) {
  return fmt::format(".tmp-{}-{}", ::getpid(), name);
}

/// Whoever tells that a file is there makes it young by its name, before or after the name goes:
/// before, it shows here; after, there is nothing to tell of.
Result<bool> GarbageFiles::set_aside(const std::string& name) const {
  if (!find_old(name)) {
    return false;
  }
  const std::string aside = name_aside(name);
  if (::renameat(directory_.get(), name.c_str(), directory_.get(), aside.c_str()) != 0) {
    if (errno == ENOENT) {
      return false;
    }
    return fail(error_from_errno(errno, "remove " + (path_ / name).string()));
  }
  if (find_old(aside)) {
    return true;
  }
  FNIMAGE_CHECK(put_back(name));
  return false;
}

Result<void> GarbageFiles::put_back(const std::string& name) const {
  const int directory = directory_.get();
  const std::string aside = name_aside(name);
  if (::linkat(directory, aside.c_str(), directory, name.c_str(), 0) == 0 || errno == EEXIST) {
    (void)::unlinkat(directory, aside.c_str(), 0);  // EEXIST: the same bytes were put meanwhile
    return {};
  }
  // A file system without hard links. What may have been put meanwhile has the same bytes.
  if (::renameat(directory, aside.c_str(), directory, name.c_str()) != 0) {
    return fail(error_from_errno(errno, "keep " + (path_ / name).string()));
  }
  return {};
}

Result<std::uint64_t> GarbageFiles::drop(const std::string& name) const {
  const std::string aside = name_aside(name);
  struct stat status {};
  const bool is_last =
      ::fstatat(directory_.get(), aside.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
      status.st_nlink == 1;
  if (::unlinkat(directory_.get(), aside.c_str(), 0) != 0 && errno != ENOENT) {
    return fail(error_from_errno(errno, "remove " + (path_ / aside).string()));
  }
  return is_last ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace fnimage::server
