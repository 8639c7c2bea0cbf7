// See the header. Source: The .xz File Format 1.1. This is a third of what a cold build of packages
// costs, and liblzma's own speed: 5.8 (Debian 13) takes two thirds of what 5.4 (Debian 12) does.
#include "xz.hpp"

#include <array>
#include <cstdlib>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <lzma.h>
#include <sys/mman.h>

namespace fnimage::layer::detail {

namespace {

constexpr std::uint64_t xz_memory = std::uint64_t{130} << 20;  // xz -9 needs 65 MiB

/// liblzma's dictionary (8 MiB for a Debian package) in huge pages where the kernel has them: it is
/// new memory for each stream, and 2,000 page faults cost a thirtieth of its decompression.
void* allocate(void* /*opaque*/, std::size_t count, std::size_t size) {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  if (count != 0 && size > (std::numeric_limits<std::size_t>::max() - huge_page) / count) {
    return nullptr;
  }
  const std::size_t bytes = count * size;
  if (bytes < huge_page) {
    return std::malloc(bytes);  // NOLINT(*-no-malloc): liblzma's contract
  }
  const std::size_t whole_pages = bytes / huge_page * huge_page;
  void* memory = std::aligned_alloc(huge_page, whole_pages + huge_page);
  if (memory != nullptr) {
    (void)::madvise(memory, whole_pages,
                    MADV_HUGEPAGE);  // not the last one, of which little is used
  }
  return memory;
}

void release(void* /*opaque*/, void* memory) {
  std::free(memory);  // NOLINT(*-no-malloc)
}

constexpr lzma_allocator allocator{.alloc = allocate, .free = release, .opaque = nullptr};

class XzReader final : public Reader {
 public:
  XzReader(std::unique_ptr<Reader> inner, std::string what)
      : inner_(std::move(inner)), what_(std::move(what)) {}
  XzReader(const XzReader&) = delete;
  XzReader& operator=(const XzReader&) = delete;
  ~XzReader() override { lzma_end(&stream_); }

  Result<void> open() {
    stream_.allocator = &allocator;
    return lzma_stream_decoder(&stream_, xz_memory, LZMA_CONCATENATED) == LZMA_OK
               ? Result<void>()
               : fail(ErrorCode::internal, "out of memory");
  }

  Result<std::size_t> read(MutableBytes buffer) override {
    stream_.next_out = bytes_of(buffer.data());
    stream_.avail_out = buffer.size();
    while (stream_.avail_out == buffer.size() && !buffer.empty() && !ended_) {
      FNIMAGE_CHECK(fill());
      switch (lzma_code(&stream_, input_ended_ ? LZMA_FINISH : LZMA_RUN)) {
        case LZMA_OK:
          break;
        case LZMA_STREAM_END:
          ended_ = true;
          break;
        case LZMA_MEMLIMIT_ERROR:
          return fail(ErrorCode::invalid_input,
                      fmt::format("{} takes too much memory to decompress", what_),
                      "compress it with a dictionary of 128 MiB at most");
        case LZMA_BUF_ERROR:
          return damaged("it is cut");
        default:
          return damaged("it is no xz data");
      }
    }
    return buffer.size() - stream_.avail_out;
  }

 private:
  template <class T>
  static std::uint8_t* bytes_of(T* bytes) noexcept {
    return static_cast<std::uint8_t*>(static_cast<void*>(bytes));
  }

  [[nodiscard]] tl::unexpected<Error> damaged(std::string_view how) const {
    return fail(ErrorCode::invalid_input, fmt::format("{} is damaged: {}", what_, how));
  }

  Result<void> fill() {
    if (stream_.avail_in == 0 && !input_ended_) {
      FNIMAGE_TRY(stream_.avail_in, inner_->read(buffer_));
      stream_.next_in = bytes_of(buffer_.data());
      input_ended_ = stream_.avail_in == 0;
    }
    return {};
  }

  std::unique_ptr<Reader> inner_;
  std::string what_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool input_ended_ = false;
  bool ended_ = false;
  std::array<std::byte, 65536> buffer_{};
};

}  // namespace

Result<std::unique_ptr<Reader>> xz_reader(std::unique_ptr<Reader> inner, std::string what) {
  auto reader = std::make_unique<XzReader>(std::move(inner), std::move(what));
  FNIMAGE_CHECK(reader->open());
  return reader;
}

}  // namespace fnimage::layer::detail
