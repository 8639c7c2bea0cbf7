// A decompressed stream that fails as soon as it passes the limits of ArchiveLimits (reliability
// A15, A16): bytes in all, their ratio to the compressed ones, and bytes of one tar header, which
// libarchive holds in memory. Private to layer. Thread-safety: one reader belongs to one thread at
// a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/layer/archive.hpp>

namespace fnimage::layer::detail {

inline constexpr std::uint64_t max_header_bytes = std::uint64_t{4} << 20;
inline constexpr std::uint64_t ratio_checked_from = std::uint64_t{64} << 20;

class CountingReader final : public Reader {
 public:
  CountingReader(std::unique_ptr<Reader> inner, std::uint64_t& count)
      : inner_(std::move(inner)), count_(count) {}
  Result<std::size_t> read(MutableBytes buffer) override {
    Result<std::size_t> got = inner_->read(buffer);
    count_ += got.value_or(0);
    return got;
  }

 private:
  std::unique_ptr<Reader> inner_;
  std::uint64_t& count_;
};

/// The decompressed stream, which fails as soon as it passes a limit.
class LimitedReader final : public Reader {
 public:
  struct State {
    std::string what;
    ArchiveLimits limits;
    std::uint64_t compressed = 0;
    std::uint64_t decompressed = 0;
    std::uint64_t header_begin = 0;
    bool in_header = false;
  };

  LimitedReader(std::unique_ptr<Reader> inner, State& state)
      : inner_(std::move(inner)), state_(state) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    FNIMAGE_TRY(const std::size_t got, inner_->read(buffer));
    state_.decompressed += got;
    if (state_.decompressed > state_.limits.max_bytes) {
      return fail(ErrorCode::invalid_input, fmt::format("{} holds more than {}", state_.what,
                                                        human_size(state_.limits.max_bytes)));
    }
    if (state_.decompressed > ratio_checked_from &&
        state_.decompressed / state_.limits.max_ratio > state_.compressed) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("{} grows more than {} times when decompressed", state_.what,
                              state_.limits.max_ratio),
                  "it is made to fill disks; do not use it");
    }
    if (state_.in_header && state_.decompressed - state_.header_begin > max_header_bytes) {
      return fail(ErrorCode::invalid_input, fmt::format("{} has a header larger than {}",
                                                        state_.what, human_size(max_header_bytes)));
    }
    return got;
  }

 private:
  std::unique_ptr<Reader> inner_;
  State& state_;
};

}  // namespace fnimage::layer::detail
