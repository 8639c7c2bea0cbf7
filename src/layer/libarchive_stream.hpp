// What both uses of libarchive (decompression, tar) share: the handle, its input callback, the
// locale scope. Private to layer. Thread-safety: one object belongs to one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <archive.h>
#include <locale.h>

#include <fnimage/base/stream.hpp>

namespace fnimage::layer::detail {

struct ArchiveFree {
  void operator()(struct archive* handle) const noexcept { archive_read_free(handle); }
};
using ArchiveHandle = std::unique_ptr<struct archive, ArchiveFree>;

/// Feeds a Reader to libarchive and keeps the reader's own error, which says more than
/// libarchive's.
class ArchiveInput {
 public:
  explicit ArchiveInput(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}

  /// Starts reading; the object must stay where it is from now on.
  Result<void> open(struct archive* handle, std::string_view what);
  /// The error behind a failed libarchive call.
  Error error(struct archive* handle, std::string_view what);
  /// True when the reader failed. libarchive takes a failure at the very beginning for an empty
  /// archive.
  [[nodiscard]] bool failed() const noexcept { return error_.has_value(); }
  /// True when the bytes read so far end in eight zeros.
  [[nodiscard]] bool ends_in_zeros() const noexcept { return trailing_zeros_ >= 8; }
  /// Zeros at the end of the bytes read so far.
  [[nodiscard]] std::uint64_t trailing_zeros() const noexcept { return trailing_zeros_; }
  /// Bytes read so far.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  Reader& reader() noexcept { return *reader_; }

 private:
  static la_ssize_t on_read(struct archive* handle, void* self, const void** buffer) noexcept;

  std::unique_ptr<Reader> reader_;
  std::optional<Error> error_;
  std::uint64_t trailing_zeros_ = 0;
  std::uint64_t bytes_ = 0;
  std::array<std::byte, 65536> buffer_{};
};

/// Names in archives are UTF-8 whatever the user's locale is; in the C locale libarchive loses
/// them.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {}
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;
  ~Utf8Locale() {
    if (locale_ != nullptr) {
      freelocale(locale_);
    }
  }

  /// The calling thread uses the locale as long as this lives.
  class Scope {
   public:
    explicit Scope(const Utf8Locale& locale)
        : old_(locale.locale_ != nullptr ? uselocale(locale.locale_) : nullptr) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() {
      if (old_ != nullptr) {
        uselocale(old_);
      }
    }

   private:
    locale_t old_;
  };

 private:
  locale_t locale_;
};

/// Does not own the reader it passes on.
class BorrowedReader final : public Reader {
 public:
  explicit BorrowedReader(Reader& reader) : reader_(reader) {}
  Result<std::size_t> read(MutableBytes buffer) override { return reader_.read(buffer); }

 private:
  Reader& reader_;
};

/// decompressing_reader() with a name for messages.
Result<std::unique_ptr<Reader>> decompress(std::unique_ptr<Reader> inner, std::string what);

}  // namespace fnimage::layer::detail
