// flock(2) behind an RAII value.
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fnimage/base/file_lock.hpp>

#include "unique_fd.hpp"

namespace fnimage {

Result<std::optional<FileLock>> FileLock::lock(const std::filesystem::path& path, int operation) {
  detail::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd) {
    return fail(error_from_errno(errno, "open lock file " + path.string()));
  }
  while (::flock(fd.get(), operation) != 0) {
    if (errno == EWOULDBLOCK) {
      return std::optional<FileLock>();
    }
    if (errno != EINTR) {
      return fail(error_from_errno(errno, "lock " + path.string()));
    }
  }
  return std::optional(FileLock(fd.release()));
}

Result<FileLock> FileLock::acquire(const std::filesystem::path& path) {
  FNIMAGE_TRY(auto held, lock(path, LOCK_EX));
  return std::move(*held);
}

Result<FileLock> FileLock::acquire_shared(const std::filesystem::path& path) {
  FNIMAGE_TRY(auto held, lock(path, LOCK_SH));
  return std::move(*held);
}

Result<std::optional<FileLock>> FileLock::try_acquire(const std::filesystem::path& path) {
  return lock(path, LOCK_EX | LOCK_NB);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

}  // namespace fnimage
