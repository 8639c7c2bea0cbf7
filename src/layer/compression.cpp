// The choice of engines. Thread-safety: see the header.
#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/layer/compression.hpp>

#include "gzip.hpp"
#include "zstd.hpp"

namespace fnimage::layer {

namespace {

constexpr std::size_t max_blocks = 16;  // about 3 MiB each

/// No compression: only gathers the tar writer's small writes.
class PlainWriter final : public Compressor {
 public:
  explicit PlainWriter(Writer& out) : out_(out) {}

  Result<void> write(Bytes bytes) override {
    buffer_ += as_text(bytes);
    return buffer_.size() >= buffer_limit ? finish() : Result<void>();
  }

  Result<void> finish() override {
    Result<void> result = out_.write(as_bytes(buffer_));
    buffer_.clear();
    return result;
  }

 private:
  static constexpr std::size_t buffer_limit = std::size_t{256} << 10;
  Writer& out_;
  std::string buffer_;
};

}  // namespace

Result<Compression> parse_compression(std::string_view name) {
  if (name == "none") {
    return Compression::none;
  }
  if (name == "gzip") {
    return Compression::gzip;
  }
  if (name == "zstd") {
    return Compression::zstd;
  }
  return fail(ErrorCode::invalid_argument,
              fmt::format("unknown compression \"{}\"", printable(name)),
              "choose none, gzip or zstd");
}

std::string engine_id(Compression compression) {
  switch (compression) {
    case Compression::gzip:
      return detail::gzip_engine_id();
    case Compression::zstd:
      return detail::zstd_engine_id();
    case Compression::none:
      break;
  }
  return "none";
}

BlockBudget::BlockBudget(std::size_t threads) noexcept
    : limit_(std::min(2 * threads, max_blocks)) {}

bool BlockBudget::take(bool is_first) noexcept {
  std::size_t taken = taken_.load(std::memory_order_relaxed);
  do {
    if (taken >= limit_ && !is_first) {
      return false;
    }
  } while (!taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed));
  return true;
}

void BlockBudget::give_back(std::size_t blocks) noexcept {
  taken_.fetch_sub(blocks, std::memory_order_relaxed);
}

std::unique_ptr<Compressor> make_compressor(Compression compression, Writer& out, WorkerPool& pool,
                                            std::shared_ptr<BlockBudget> budget) {
  switch (compression) {
    case Compression::gzip:
      return detail::make_gzip(
          out, pool, budget ? std::move(budget) : std::make_shared<BlockBudget>(pool.threads()));
    case Compression::zstd:
      return detail::make_zstd(out, pool);
    case Compression::none:
      break;
  }
  return std::make_unique<PlainWriter>(out);
}

}  // namespace fnimage::layer
