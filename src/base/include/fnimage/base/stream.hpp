// Byte streams. Reader and Writer are one-way streams; Content is something whose size is known and
// that can be opened again from any offset, which is what makes an upload repeatable.
// Thread-safety: one stream belongs to one thread at a time; Content may be opened from several
// threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/result.hpp>

namespace fnimage {

/// A source of bytes that is read once, front to back.
class Reader {
 public:
  virtual ~Reader() = default;
  /// Fills at most `buffer.size()` bytes and returns how many; 0 means end of stream (never for an
  /// empty buffer only).
  virtual Result<std::size_t> read(MutableBytes buffer) = 0;
};

/// A sink of bytes.
class Writer {
 public:
  virtual ~Writer() = default;
  /// Takes all bytes or fails.
  virtual Result<void> write(Bytes bytes) = 0;
};

/// Bytes of known size that can be read again and again.
class Content {
 public:
  virtual ~Content() = default;
  /// Size in bytes.
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
  /// Opens a new stream that starts at `offset` (<= size()).
  [[nodiscard]] virtual Result<std::unique_ptr<Reader>> open(std::uint64_t offset = 0) const = 0;
  /// As open(), without the verification that open() may come with: for a receiver that verifies
  /// the whole itself, as a registry does.
  [[nodiscard]] virtual Result<std::unique_ptr<Reader>> open_unverified(
      std::uint64_t offset) const {
    return open(offset);
  }
  /// What names the bytes without reading them: contents of equal ids are equal. Usually a digest;
  /// empty when nothing is known.
  [[nodiscard]] virtual std::string id() const { return {}; }
  /// The file that holds exactly these bytes, if there is one: lets a store link instead of copy.
  [[nodiscard]] virtual std::optional<std::filesystem::path> file() const { return std::nullopt; }
  /// The file that should hold these bytes: as file(), for a receiver that verifies the whole.
  [[nodiscard]] virtual std::optional<std::filesystem::path> unverified_file() const {
    return file();
  }
};

using ContentPtr = std::shared_ptr<const Content>;

/// Content held in memory (owned). @param id see Content::id().
ContentPtr memory_content(std::string bytes, std::string id = {});

/// Content of a whole regular file; its size is read now, and a file that shrinks later is an io
/// error while reading.
Result<ContentPtr> file_content(const std::filesystem::path& path);

/// A slice of a file: `size` bytes from `offset`. Nothing is opened until read.
ContentPtr file_slice(std::filesystem::path path, std::uint64_t offset, std::uint64_t size);

/// Opens a file for reading from `offset`. Symbolic links are followed.
Result<std::unique_ptr<Reader>> open_file(const std::filesystem::path& path,
                                          std::uint64_t offset = 0);

/// A reader over bytes in memory (owned).
std::unique_ptr<Reader> memory_reader(std::string bytes);

/// Fills the buffer as far as the stream goes; returns how many bytes there were.
Result<std::size_t> read_full(Reader& reader, MutableBytes buffer);

/// Reads a stream to its end. Error: invalid_input when there are more than `limit` bytes.
Result<std::string> read_all(Reader& reader, std::uint64_t limit);

/// Reads a whole file. Error: invalid_input when it is larger than `limit` bytes.
Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t limit);

/// Copies a stream to its end and returns the number of bytes.
Result<std::uint64_t> copy(Reader& from, Writer& to);

/// Appends to a string (not owned).
class StringWriter final : public Writer {
 public:
  explicit StringWriter(std::string& target) : target_(target) {}
  Result<void> write(Bytes bytes) override;

 private:
  std::string& target_;
};

}  // namespace fnimage
