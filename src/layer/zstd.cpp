// zstd (RFC 8878), multi-threaded by the library. The output is the same for any number of workers
// from 1 on and any cutting of the input, as long as the size is not pledged and ZSTD_e_continue
// comes before ZSTD_e_end: ending at once would put the content size into the frame's header.
// Everything that forms the output is set here, so that no default of the library does.
// Thread-safety: see compression.hpp.
#include "zstd.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <zstd.h>

namespace fnimage::layer::detail {

namespace {

constexpr int zstd_level = 3;
constexpr int job_bytes = 4 << 20;
constexpr int overlap_log = 6;
constexpr std::size_t max_workers = 4;  // each holds two jobs, about 10 MiB

struct ContextFree {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

class ZstdCompressor final : public Compressor {
 public:
  ZstdCompressor(Writer& out, std::size_t workers)
      : out_(out), workers_(workers), context_(ZSTD_createCCtx()), buffer_(ZSTD_CStreamOutSize()) {}

  Result<void> write(Bytes bytes) override {
    ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
    FNIMAGE_CHECK(start());
    while (input.pos < input.size) {
      FNIMAGE_CHECK(step(input, ZSTD_e_continue));
    }
    return {};
  }

  Result<void> finish() override {
    FNIMAGE_CHECK(start());
    ZSTD_inBuffer input{nullptr, 0, 0};
    FNIMAGE_CHECK(step(input, ZSTD_e_continue));
    while (true) {
      FNIMAGE_TRY(const std::size_t left, step(input, ZSTD_e_end));
      if (left == 0) {
        return {};
      }
    }
  }

 private:
  static tl::unexpected<Error> failed(std::size_t code) {
    return fail(ErrorCode::internal, fmt::format("cannot compress: {}", ZSTD_getErrorName(code)));
  }

  Result<void> start() {
    if (started_) {
      return {};
    }
    if (!context_) {
      return fail(ErrorCode::internal, "cannot compress: out of memory");
    }
    struct Setting {
      ZSTD_cParameter parameter;
      int value;
    };
    for (const Setting& setting :
         {Setting{ZSTD_c_compressionLevel, zstd_level}, Setting{ZSTD_c_checksumFlag, 1},
          Setting{ZSTD_c_contentSizeFlag, 0}, Setting{ZSTD_c_enableLongDistanceMatching, 0},
          Setting{ZSTD_c_nbWorkers, static_cast<int>(workers_)}, Setting{ZSTD_c_jobSize, job_bytes},
          Setting{ZSTD_c_overlapLog, overlap_log}}) {
      const std::size_t code =
          ZSTD_CCtx_setParameter(context_.get(), setting.parameter, setting.value);
      if (ZSTD_isError(code) != 0) {
        return failed(code);
      }
    }
    started_ = true;
    return {};
  }

  /// One call of the library; returns how much is left to flush.
  Result<std::size_t> step(ZSTD_inBuffer& input, ZSTD_EndDirective directive) {
    ZSTD_outBuffer output{buffer_.data(), buffer_.size(), 0};
    const std::size_t left = ZSTD_compressStream2(context_.get(), &output, &input, directive);
    if (ZSTD_isError(left) != 0) {
      return failed(left);
    }
    if (output.pos > 0) {
      FNIMAGE_CHECK(out_.write(Bytes(buffer_).first(output.pos)));
    }
    return left;
  }

  Writer& out_;
  std::size_t workers_;
  std::unique_ptr<ZSTD_CCtx, ContextFree> context_;
  std::vector<std::byte> buffer_;
  bool started_ = false;
};

}  // namespace

std::string zstd_engine_id() {
  return fmt::format("zstd/libzstd-{}/{}/{}", ZSTD_versionString(), zstd_level, job_bytes);
}

std::unique_ptr<Compressor> make_zstd(Writer& out, WorkerPool& pool) {
  return std::make_unique<ZstdCompressor>(out,
                                          std::clamp<std::size_t>(pool.threads(), 1, max_workers));
}

}  // namespace fnimage::layer::detail
