// The choice of engines. Thread-safety: see the header.
#include <string>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/layer/compression.hpp>

#include "gzip.hpp"
#include "zstd.hpp"

namespace fnimage::layer {

namespace {

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

std::unique_ptr<Compressor> make_compressor(Compression compression, Writer& out, WorkerPool& pool,
                                            std::shared_ptr<BlockPool> blocks) {
  switch (compression) {
    case Compression::gzip:
      return detail::make_gzip(
          out, pool, blocks ? std::move(blocks) : std::make_shared<BlockPool>(pool.threads()));
    case Compression::zstd:
      return detail::make_zstd(out, pool);
    case Compression::none:
      break;
  }
  return std::make_unique<PlainWriter>(out);
}

}  // namespace fnimage::layer
