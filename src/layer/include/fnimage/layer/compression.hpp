// Layer compression engines. Output depends only on the input and the engine id, never on CPU,
// thread count or how the input was cut into writes. gzip: libdeflate, independent 1 MiB members
// compressed in parallel. zstd: nbWorkers >= 1, no pledged size, at least one ZSTD_e_continue
// before ZSTD_e_end (only so is its output the same for any thread count). Thread-safety: one
// compressor belongs to one thread; it uses the pool's threads for its blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/worker_pool.hpp>

namespace fnimage::layer {

enum class Compression : std::uint8_t { none, gzip, zstd };

/// "none", "gzip", "zstd". Error: invalid_argument naming the choices.
Result<Compression> parse_compression(std::string_view name);

/// Library, version, level and block size, e.g. "gzip/libdeflate-1.14/5/1048576": part of every
/// cache key and of the build record.
std::string engine_id(Compression compression);

/// Compresses a stream into another. finish() must be called once, last.
class Compressor : public Writer {
 public:
  virtual Result<void> finish() = 0;
};

namespace detail {
class GzipBlock;
}

/// The blocks that compressors working side by side share, so that memory grows neither with their
/// number nor with the threads. A block is about 3 MiB and passes from one compressor to the next:
/// freed in one thread and allocated in another it would cost its size in each arena of malloc.
/// Thread-safety: all methods from several threads.
class BlockPool {
 public:
  /// @param threads of the pool that compresses: two blocks for each, but no more than 16.
  explicit BlockPool(std::size_t threads) noexcept;

  /// A block for a compressor; null when all are in use. A compressor that has none gets its first
  /// one in any case: it can always go on, whatever the others hold.
  [[nodiscard]] std::shared_ptr<detail::GzipBlock> take(bool is_first);
  void give_back(std::shared_ptr<detail::GzipBlock> block);

 private:
  std::size_t limit_;
  std::mutex mutex_;
  std::size_t taken_ = 0;
  std::vector<std::shared_ptr<detail::GzipBlock>> free_;
};

/// @param out not owned. @param pool where blocks are compressed (not owned). @param blocks shared
/// with others; null = some of its own. Memory does not depend on the input.
std::unique_ptr<Compressor> make_compressor(Compression compression, Writer& out, WorkerPool& pool,
                                            std::shared_ptr<BlockPool> blocks = nullptr);

/// Whether the first bytes are those of gzip, zstd or xz.
Result<bool> is_compressed(const Content& input);

/// Decompresses gzip (any members), zstd or nothing, told by the first bytes. Used for reading
/// layers back. Window and output are the caller's to bound.
Result<std::unique_ptr<Reader>> decompressing_reader(std::unique_ptr<Reader> inner);

}  // namespace fnimage::layer
