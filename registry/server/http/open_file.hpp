// A regular file that is open for reading, whatever happens to its name. Thread-safety: const
// methods from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/result.hpp>

namespace fnimage::server {

class OpenFile {
 public:
  /// Errors: not_found, invalid_input when it is no regular file, those of open(2).
  static Result<std::shared_ptr<const OpenFile>> open(const std::filesystem::path& path);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();

  /// In bytes, when it was opened.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  /// Reads up to buffer.size() bytes from `offset`; 0 at the end.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, MutableBytes buffer) const;
  /// Reads `size` bytes from `offset`; fewer when the file is shorter by now.
  [[nodiscard]] Result<std::string> read_text(std::uint64_t offset, std::uint64_t size) const;

 private:
  OpenFile(int descriptor, std::uint64_t size) : descriptor_(descriptor), size_(size) {}
  int descriptor_;
  std::uint64_t size_;
};

}  // namespace fnimage::server
