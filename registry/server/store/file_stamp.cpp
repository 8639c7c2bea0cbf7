#include "store/file_stamp.hpp"

#include <sys/stat.h>

namespace fnimage::server {

namespace {

std::int64_t to_file_time(const timespec& time) noexcept {
  constexpr std::int64_t per_second = 1'000'000'000;
  return static_cast<std::int64_t>(time.tv_sec) * per_second + time.tv_nsec;
}

std::optional<FileStamp> stamp_from(const struct stat& status) noexcept {
  if (!S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  return FileStamp{.device = status.st_dev,
                   .inode = status.st_ino,
                   .size = static_cast<std::uint64_t>(status.st_size),
                   .modified = to_file_time(status.st_mtim),
                   .changed = to_file_time(status.st_ctim)};
}

}  // namespace

std::optional<FileStamp> FileStamp::of(const std::filesystem::path& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? stamp_from(status) : std::nullopt;
}

std::optional<FileStamp> FileStamp::of(int descriptor) noexcept {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? stamp_from(status) : std::nullopt;
}

}  // namespace fnimage::server
