// Crash-safe files: written under a temporary name in the same directory, fsynced, renamed,
// directory fsynced. Whatever happens, the final name holds the old bytes, the new bytes or
// nothing, never a part (reliability F25-F28). Temporary names begin with ".tmp-" and carry the
// writer's process id, so that leftovers can be told and removed. Thread-safety: one AtomicFile
// belongs to one thread at a time.
#pragma once

#include <filesystem>
#include <string_view>

#include <fnimage/base/stream.hpp>

namespace fnimage {

/// A file being written. Destroying it without commit() removes the temporary file.
class AtomicFile final : public Writer {
 public:
  /// Creates a temporary file in `directory`, which is created if missing.
  static Result<AtomicFile> create(const std::filesystem::path& directory);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() override;

  Result<void> write(Bytes bytes) override;

  /// The temporary file's path, e.g. for reading back what was written.
  [[nodiscard]] const std::filesystem::path& temporary_path() const noexcept { return path_; }

  /// fsync of the bytes alone: for those who commit() several files with durable = false, and sync
  /// their directory once.
  Result<void> sync();

  /// fsync, rename to `final_path` (same file system), fsync of its directory. Replaces an existing
  /// file.
  /// @param durable false leaves out both fsyncs: for caches that can be made again.
  Result<void> commit(const std::filesystem::path& final_path, bool durable = true);

 private:
  AtomicFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  void discard() noexcept;

  std::filesystem::path path_;
  int fd_ = -1;
};

/// Writes a whole file in one crash-safe step.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                                   bool durable = true);

/// Creates a directory and its parents; fine if it exists.
Result<void> make_directories(const std::filesystem::path& path);

/// Makes directory entries (renames, links) durable.
Result<void> sync_directory(const std::filesystem::path& directory);

/// Removes temporary files and directories left in `directory` by processes that no longer run.
/// Failures are ignored.
void remove_stale_temporaries(const std::filesystem::path& directory) noexcept;

/// Whether remove_stale_temporaries() would remove this file or directory.
bool is_stale_temporary(const std::filesystem::path& file) noexcept;

/// A private directory, removed with all its content at the end of life.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> create(std::string_view prefix);
  /// The same below `directory`, which is created if missing: for what is linked from files there.
  /// One that a killed process left there is removed by remove_stale_temporaries().
  static Result<TemporaryDirectory> create_in(const std::filesystem::path& directory);
  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path, int lock = -1)
      : path_(std::move(path)), lock_(lock) {}
  void discard() noexcept;
  std::filesystem::path path_;
  int lock_ = -1;  ///< tells other pid namespaces that it is in use
};

}  // namespace fnimage
