// A file that somebody may change at any time. Thread-safety: belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <sys/stat.h>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

class WatchedFile {
 public:
  explicit WatchedFile(std::filesystem::path path) : path_(std::move(path)) {}
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// The content, when it is another than the last time. Errors: not_found, invalid_input (no
  /// regular file, or more than 16 MiB), those of the file system.
  Result<std::optional<std::string>> changed();

 private:
  struct Stamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t modified = 0;  ///< nanoseconds
    std::int64_t status_changed = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  static Stamp stamp_of(const struct stat& status);

  std::filesystem::path path_;
  std::optional<Stamp> stamp_{};
  std::optional<std::string> hash_{};
  bool is_settled_ = false;
};

}  // namespace fnimage::server
