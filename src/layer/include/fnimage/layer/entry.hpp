// One entry of a layer: what a tar header says, plus where the bytes come from. Thread-safety: a
// value type.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <fnimage/base/stream.hpp>

namespace fnimage::layer {

enum class EntryType : std::uint8_t {
  file,
  directory,
  symlink,
  hardlink,
  char_device,
  block_device,
  fifo
};

struct Entry {
  std::string path;  ///< relative, '/'-separated, no "." or ".." parts, no trailing slash; bytes,
                     ///< usually UTF-8
  EntryType type = EntryType::file;
  std::uint32_t mode = 0644;  ///< permission bits with set-id and sticky, no file type
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime = 0;  ///< seconds since 1970
  std::string link{};      ///< symlink: its text; hardlink: the path of an earlier entry
  std::map<std::string, std::string> xattrs{};
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  ContentPtr content{};  ///< files only; null = empty. One without an id: no key of the tree

  [[nodiscard]] std::uint64_t size() const noexcept { return content ? content->size() : 0; }
};

/// Cleans a path from outside ("./usr//bin/" -> "usr/bin"; "" for the root itself). Error:
/// invalid_input for "..", NUL bytes and paths longer than 4096 bytes. A leading '/' is dropped.
Result<std::string> clean_path(std::string_view path);

}  // namespace fnimage::layer
