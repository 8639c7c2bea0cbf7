// One tar stream, entry by entry, within limits. Private to layer. Thread-safety: one reader
// belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <fnimage/layer/archive.hpp>

namespace fnimage::layer::detail {

class TarReader {
 public:
  /// @param what the archive's name for messages.
  static Result<std::unique_ptr<TarReader>> open(std::unique_ptr<Reader> archive, std::string what,
                                                 const ArchiveLimits& limits);
  virtual ~TarReader() = default;

  /// The next entry, without content; nullopt at the end, after which the whole stream has been
  /// read.
  virtual Result<std::optional<Entry>> next() = 0;
  /// Size of the current entry's content in bytes; 0 for anything but a file.
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
  /// The next piece of the current entry's content, valid until the next call; empty at its end. A
  /// file must be read to its end, where its size is checked, before next().
  virtual Result<Bytes> read() = 0;
};

}  // namespace fnimage::layer::detail
