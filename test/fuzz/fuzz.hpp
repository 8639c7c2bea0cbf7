// What the fuzz targets share. A target calls the readers with the bytes of libFuzzer and checks
// what must hold for any input: require() is what makes a broken promise a finding, as a crash is
// one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <span>
#include <string>
#include <string_view>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::fuzz {

/// Ends the program, which libFuzzer reports with the input.
inline void require(bool holds, std::string_view promise) {
  if (!holds) {
    std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()),
                 promise.data());
    std::abort();
  }
}

/// Whether there is a value. An error must say something, and must not put the blame on fnimage.
template <class T>
bool succeeded(const Result<T>& result) {
  if (!result) {
    require(!result.error().message().empty(), "an error has a message");
    require(result.error().code() != ErrorCode::internal, "an input is never an internal error");
  }
  return result.has_value();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return as_text(std::as_bytes(std::span(data, size)));
}

/// A reader that gives what it has in pieces of changing sizes.
class PieceReader final : public Reader {
 public:
  PieceReader(std::string_view text, std::size_t largest) : text_(text), largest_(largest) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    size_ = size_ % largest_ + 1;
    const std::size_t count = std::min({buffer.size(), text_.size(), size_});
    std::copy_n(as_bytes(text_).begin(), count, buffer.begin());
    text_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view text_;
  std::size_t largest_;
  std::size_t size_ = 0;
};

/// Writes the right checksum into everything that looks like a tar header: a wrong one ends the
/// reading, and chance would hardly ever find a right one.
inline void mend_tar_headers(std::uint8_t* data, std::size_t size) {
  constexpr std::size_t magic_at = 257;
  constexpr std::size_t sum_at = 148;
  constexpr std::size_t sum_bytes = 8;
  constexpr std::size_t header = 512;
  const std::string_view text = text_of(data, size);
  for (std::size_t at = text.find("ustar", magic_at); at != std::string_view::npos;
       at = text.find("ustar", at + 1)) {
    std::uint8_t* const begin = data + (at - magic_at);
    if (size - (at - magic_at) < header) {
      return;
    }
    std::fill_n(begin + sum_at, sum_bytes, std::uint8_t{' '});
    unsigned sum = std::accumulate(begin, begin + header, 0U);
    for (std::size_t digit = sum_bytes - 2; digit > 0; --digit, sum /= 8) {
      begin[sum_at + digit - 1] = static_cast<std::uint8_t>('0' + sum % 8);
    }
    begin[sum_at + sum_bytes - 2] = 0;
  }
}

}  // namespace fnimage::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed);

namespace fnimage::fuzz {

/// A mutation of what may hold a tar archive, its checksums mended most times.
inline std::size_t mutate_tar(std::uint8_t* data, std::size_t size, std::size_t max_size,
                              unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  constexpr unsigned unmended = 16;  // one in so many
  if (seed % unmended != 0) {
    mend_tar_headers(data, size);
  }
  return size;
}

}  // namespace fnimage::fuzz
