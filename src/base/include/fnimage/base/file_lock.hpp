// An exclusive lock between processes on one path (flock). Released by the destructor and by the
// death of the process. Thread-safety: locks of one process on one path exclude each other too,
// since each opens the file anew.
#pragma once

#include <filesystem>
#include <optional>

#include <fnimage/base/result.hpp>

namespace fnimage {

class FileLock {
 public:
  /// Waits until the lock is free. Creates the lock file if missing; it is never removed.
  static Result<FileLock> acquire(const std::filesystem::path& path);
  /// The same lock for many holders, who exclude only those of acquire().
  static Result<FileLock> acquire_shared(const std::filesystem::path& path);
  /// As acquire(), but nullopt instead of waiting.
  static Result<std::optional<FileLock>> try_acquire(const std::filesystem::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  static Result<std::optional<FileLock>> lock(const std::filesystem::path& path, int operation);
  explicit FileLock(int fd) noexcept : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace fnimage
