// The files of one directory of a layout, as a collector of garbage sees them. Nothing is followed
// that is a symbolic link. Thread-safety: belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>

#include "store/file_handle.hpp"

namespace fnimage::server {

/// Files that were modified before it are old.
using FileAge = std::chrono::system_clock::time_point;

struct OldFile {
  std::string name;
  std::uint64_t bytes = 0;  ///< that are free without it: none while it has other names
};

class GarbageFiles {
 public:
  /// Nullopt: there is no such directory. @param path of directories that are no links.
  static Result<std::optional<GarbageFiles>> open(const std::filesystem::path& path,
                                                  FileAge oldest_kept);

  /// Calls with each name, in no order, until it returns false. Files may go meanwhile.
  Result<void> for_each(const std::function<bool(const std::string& name)>& call) const;
  /// Nullopt unless it is a regular file that is old.
  [[nodiscard]] std::optional<OldFile> find_old(const std::string& name) const;

  /// Takes an old file's name away in one step, so that nobody can be told of it any more; unless
  /// it was made young in the last moment. Its bytes stay until drop(). False = it stays.
  [[nodiscard]] Result<bool> set_aside(const std::string& name) const;
  /// Of a file that was set aside. The bytes that are free now.
  [[nodiscard]] Result<std::uint64_t> drop(const std::string& name) const;

 private:
  GarbageFiles(std::filesystem::path path, FileHandle directory, FileAge oldest_kept)
      : path_(std::move(path)), directory_(std::move(directory)), oldest_kept_(oldest_kept) {}
  /// What remove_stale_temporaries() removes, should this process be killed.
  static std::string name_aside(const std::string& name);
  [[nodiscard]] Result<void> put_back(const std::string& name) const;

  std::filesystem::path path_;
  FileHandle directory_;
  FileAge oldest_kept_;
};

}  // namespace fnimage::server
