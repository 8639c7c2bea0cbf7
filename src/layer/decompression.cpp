// Decompression by libarchive's filters in its "raw" format (xz: see xz.hpp). Exactly one filter is
// put in by hand, told by the first bytes: libarchive's own detection would also undo a second
// compression inside the first, up to 25 times (reliability A16). zstd's decoder refuses windows
// above 128 MiB by itself. The compressed stream is always read to its end, where its digest is
// verified, and nothing but zeros may stand behind the data. Thread-safety: see the header.
#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/layer/compression.hpp>

#include "libarchive_stream.hpp"
#include "xz.hpp"

namespace fnimage::layer {

namespace detail {

la_ssize_t ArchiveInput::on_read(struct archive* /*handle*/, void* self,
                                 const void** buffer) noexcept {
  auto& input = *static_cast<ArchiveInput*>(self);
  try {
    Result<std::size_t> got = input.reader_->read(input.buffer_);
    if (!got) {
      input.error_ = std::move(got).error();
      return -1;
    }
    const auto rest = Bytes(input.buffer_).first(*got);
    const auto last = std::find_if(rest.rbegin(), rest.rend(),
                                   [](std::byte byte) { return byte != std::byte{0}; });
    const auto zeros = static_cast<std::size_t>(last - rest.rbegin());
    input.trailing_zeros_ = zeros == rest.size() ? input.trailing_zeros_ + zeros : zeros;
    input.bytes_ += *got;
    *buffer = input.buffer_.data();
    return static_cast<la_ssize_t>(*got);
  } catch (const std::exception&) {
    return -1;  // only memory can run out here, and C code cannot pass an exception on
  }
}

Result<void> ArchiveInput::open(struct archive* handle, std::string_view what) {
  if (archive_read_open(handle, this, nullptr, &ArchiveInput::on_read, nullptr) != ARCHIVE_OK) {
    return fail(error(handle, what));
  }
  return {};
}

Error ArchiveInput::error(struct archive* handle, std::string_view what) {
  if (error_) {
    return *error_;
  }
  const char* text = archive_error_string(handle);
  return Error(ErrorCode::invalid_input,
               fmt::format("{} is damaged: {}", what,
                           text != nullptr ? printable(text) : std::string("unreadable")));
}

namespace {

constexpr std::size_t magic_size = 6;

/// Gives back what was read to look at the magic number, then the rest.
class PrefixedReader final : public Reader {
 public:
  PrefixedReader(std::string prefix, std::unique_ptr<Reader> rest)
      : prefix_(std::move(prefix)), rest_(std::move(rest)) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    if (used_ < prefix_.size()) {
      const std::size_t count = std::min(buffer.size(), prefix_.size() - used_);
      std::memcpy(buffer.data(), prefix_.data() + used_, count);
      used_ += count;
      return count;
    }
    return rest_->read(buffer);
  }

 private:
  std::string prefix_;
  std::unique_ptr<Reader> rest_;
  std::size_t used_ = 0;
};

Result<std::string> read_magic(Reader& reader) {
  std::array<std::byte, magic_size> bytes{};
  FNIMAGE_TRY(const std::size_t have, read_full(reader, bytes));
  return std::string(as_text(std::span(bytes).first(have)));
}

int filter_of(std::string_view magic) noexcept {
  using namespace std::string_view_literals;
  if (magic.starts_with("\x1f\x8b"sv)) {
    return ARCHIVE_FILTER_GZIP;
  }
  if (magic.starts_with("\x28\xb5\x2f\xfd"sv)) {
    return ARCHIVE_FILTER_ZSTD;
  }
  return magic.starts_with(
             "\xfd"
             "7zXZ\0"sv)
             ? ARCHIVE_FILTER_XZ
             : ARCHIVE_FILTER_NONE;
}

class DecompressingReader final : public Reader {
 public:
  DecompressingReader(std::unique_ptr<Reader> inner, std::string what)
      : input_(std::move(inner)), handle_(archive_read_new()), what_(std::move(what)) {}

  Result<void> open(int filter) {
    struct archive* handle = handle_.get();
    if (handle == nullptr) {
      return fail(ErrorCode::internal, "out of memory");
    }
    if (archive_read_append_filter(handle, filter) != ARCHIVE_OK ||
        archive_read_support_format_raw(handle) != ARCHIVE_OK ||
        archive_read_support_format_empty(handle) != ARCHIVE_OK) {
      return fail(ErrorCode::unsupported, fmt::format("cannot decompress {}: {}", what_,
                                                      printable(archive_error_string(handle))));
    }
    FNIMAGE_CHECK(input_.open(handle, what_));
    const bool damaged = input_.failed() || archive_errno(handle) != 0;
    struct archive_entry* entry = nullptr;
    const int status = damaged ? ARCHIVE_FATAL : archive_read_next_header(handle, &entry);
    if (status == ARCHIVE_EOF) {
      // A header that is cut looks like an empty stream too; whole gzip streams of nothing end in
      // a checksum and a size of zero.
      if (filter == ARCHIVE_FILTER_GZIP && !input_.ends_in_zeros()) {
        return fail(ErrorCode::invalid_input, fmt::format("{} is damaged: it is cut", what_));
      }
      return end();
    }
    if (status != ARCHIVE_OK) {
      return fail(input_.error(handle, what_));
    }
    return {};
  }

  Result<std::size_t> read(MutableBytes buffer) override {
    while (block_.empty()) {
      if (ended_) {
        return 0;
      }
      FNIMAGE_CHECK(next_block());
    }
    const std::size_t count = std::min(buffer.size(), block_.size());
    std::memcpy(buffer.data(), block_.data(), count);
    block_ = block_.subspan(count);
    return count;
  }

 private:
  Result<void> next_block() {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(handle_.get(), &data, &size, &offset);
    if (status == ARCHIVE_EOF) {
      return end();
    }
    if (status != ARCHIVE_OK) {
      return fail(input_.error(handle_.get(), what_));
    }
    block_ = Bytes(static_cast<const std::byte*>(data), size);
    return {};
  }

  /// Reads what follows the data.
  Result<void> end() {
    const la_int64_t used = archive_filter_bytes(handle_.get(), -1);
    const std::uint64_t rest =
        used < 0 ? 0 : input_.bytes() - std::min(input_.bytes(), static_cast<std::uint64_t>(used));
    bool only_zeros = !followed_ && input_.trailing_zeros() >= rest;
    std::array<std::byte, 16384> buffer{};
    while (only_zeros) {
      FNIMAGE_TRY(const std::size_t got, input_.reader().read(buffer));
      if (got == 0) {
        ended_ = true;
        return {};
      }
      only_zeros = std::all_of(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got),
                               [](std::byte byte) { return byte == std::byte{0}; });
    }
    followed_ = true;
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is damaged: something follows the compressed data", what_));
  }

  ArchiveInput input_;
  ArchiveHandle handle_;
  std::string what_;
  Bytes block_;
  bool ended_ = false;
  bool followed_ = false;  ///< by something that should not be there
};

}  // namespace

Result<std::unique_ptr<Reader>> decompress(std::unique_ptr<Reader> inner, std::string what) {
  FNIMAGE_TRY(std::string magic, read_magic(*inner));
  const int filter = filter_of(magic);
  auto whole = std::make_unique<PrefixedReader>(std::move(magic), std::move(inner));
  if (filter == ARCHIVE_FILTER_NONE) {
    return whole;
  }
  if (filter == ARCHIVE_FILTER_XZ) {
    return xz_reader(std::move(whole), std::move(what));
  }
  auto reader = std::make_unique<DecompressingReader>(std::move(whole), std::move(what));
  FNIMAGE_CHECK(reader->open(filter));
  return reader;
}

}  // namespace detail

Result<bool> is_compressed(const Content& input) {
  FNIMAGE_TRY(const auto reader, input.open());
  FNIMAGE_TRY(const std::string first_bytes, detail::read_magic(*reader));
  return detail::filter_of(first_bytes) != ARCHIVE_FILTER_NONE;
}

Result<std::unique_ptr<Reader>> decompressing_reader(std::unique_ptr<Reader> inner) {
  return detail::decompress(std::move(inner), "compressed data");
}

}  // namespace fnimage::layer
