// gzip (RFC 1952) as independent members of 1 MiB input each, made by libdeflate in parallel and
// written in order. A block waits in the pool's queue, but whoever needs it first takes it: the
// writing thread compresses blocks itself rather than wait for a busy pool, so that a layer can be
// packed inside a task of the same pool. Tasks hold their blocks weakly, so that tasks left behind
// in the queue keep no memory. Thread-safety: see compression.hpp; blocks change hands by their
// atomic state.
#include "gzip.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <libdeflate.h>

namespace fnimage::layer {

namespace detail {

namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20;
/// Already half a percent smaller than what zlib and pigz make by default (their level 6), in a
/// third of the time; our level 6 takes a quarter longer for another half percent.
constexpr int gzip_level = 5;

struct CompressorFree {
  void operator()(libdeflate_compressor* compressor) const noexcept {
    libdeflate_free_compressor(compressor);
  }
};

}  // namespace

class GzipBlock {
 public:
  GzipBlock()
      : input_(
            std::make_unique_for_overwrite<std::byte[]>(block_bytes)),  // NOLINT(*-avoid-c-arrays)
        compressor_(libdeflate_alloc_compressor(gzip_level)) {
    if (compressor_) {
      capacity_ = libdeflate_gzip_compress_bound(compressor_.get(), block_bytes);
      output_ = std::make_unique_for_overwrite<std::byte[]>(capacity_);  // NOLINT(*-avoid-c-arrays)
    }
  }

  /// Takes what fits and returns how much that was.
  std::size_t fill(Bytes bytes) {
    const std::size_t count = std::min(bytes.size(), block_bytes - used_);
    if (count > 0) {
      std::memcpy(input_.get() + used_, bytes.data(), count);
      used_ += count;
    }
    return count;
  }
  [[nodiscard]] bool full() const noexcept { return used_ == block_bytes; }
  [[nodiscard]] bool empty() const noexcept { return used_ == 0; }

  void set_waiting() noexcept { state_.store(State::waiting, std::memory_order_release); }
  /// Compresses if nobody else does or did.
  bool try_compress() noexcept {
    State expected = State::waiting;
    if (!state_.compare_exchange_strong(expected, State::running, std::memory_order_acq_rel)) {
      return false;
    }
    written_ = compressor_ ? libdeflate_gzip_compress(compressor_.get(), input_.get(), used_,
                                                      output_.get(), capacity_)
                           : 0;
    state_.store(State::done, std::memory_order_release);
    state_.notify_all();
    return true;
  }
  [[nodiscard]] bool is_done() const noexcept {
    return state_.load(std::memory_order_acquire) == State::done;
  }
  /// Only for a block that some thread compresses.
  void wait() const noexcept { state_.wait(State::running, std::memory_order_acquire); }
  /// The member; empty when memory ran out.
  [[nodiscard]] Bytes output() const noexcept { return {output_.get(), written_}; }
  void reuse() noexcept {
    used_ = 0;
    written_ = 0;
    state_.store(State::filling, std::memory_order_release);
  }

 private:
  enum class State : std::uint8_t { filling, waiting, running, done };

  std::unique_ptr<std::byte[]> input_;   // NOLINT(*-avoid-c-arrays)
  std::unique_ptr<std::byte[]> output_;  // NOLINT(*-avoid-c-arrays)
  std::unique_ptr<libdeflate_compressor, CompressorFree> compressor_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::size_t written_ = 0;
  std::atomic<State> state_ = State::filling;
};

namespace {

class GzipCompressor final : public Compressor {
 public:
  GzipCompressor(Writer& out, WorkerPool& pool, std::shared_ptr<BlockPool> spare)
      : out_(out), pool_(pool), spare_(std::move(spare)) {}
  GzipCompressor(const GzipCompressor&) = delete;
  GzipCompressor& operator=(const GzipCompressor&) = delete;
  ~GzipCompressor() override {
    if (current_) {
      give_back(std::move(current_));
    }
    // After an error only: a thread may be at work on them, so that nobody else can have them.
    for (std::size_t left = blocks_.size(); left > 0; --left) {
      spare_->give_back(nullptr);
    }
  }

  Result<void> write(Bytes bytes) override {
    while (!bytes.empty()) {
      FNIMAGE_CHECK(make_current());
      bytes = bytes.subspan(current_->fill(bytes));
      if (current_->full()) {
        submit();
      }
    }
    return {};
  }

  Result<void> finish() override {
    if (!current_ && !any_) {
      FNIMAGE_CHECK(make_current());
    }
    if (current_ && (!current_->empty() || !any_)) {
      submit();
    }
    return drain(0);
  }

 private:
  Result<void> make_current() {
    if (current_) {
      return {};
    }
    FNIMAGE_CHECK(drain(blocks_.size()));
    while (!(current_ = spare_->take(blocks_.empty()))) {
      FNIMAGE_CHECK(drain(blocks_.size() - 1));
    }
    return {};
  }

  void submit() {
    any_ = true;
    current_->set_waiting();
    pool_.submit([weak = std::weak_ptr<GzipBlock>(current_)] {
      if (const std::shared_ptr<GzipBlock> block = weak.lock()) {
        block->try_compress();
      }
    });
    blocks_.push_back(std::move(current_));
    current_ = nullptr;
  }

  /// Writes finished blocks and works until at most `left` are under way.
  Result<void> drain(std::size_t left) {
    while (!blocks_.empty()) {
      if (blocks_.front()->is_done()) {
        FNIMAGE_CHECK(write_front());
        continue;
      }
      if (blocks_.size() <= left) {
        break;
      }
      const bool helped = std::any_of(blocks_.begin(), blocks_.end(),
                                      [](const auto& block) { return block->try_compress(); });
      if (!helped) {
        blocks_.front()->wait();
      }
    }
    return {};
  }

  Result<void> write_front() {
    std::shared_ptr<GzipBlock> block = std::move(blocks_.front());
    blocks_.pop_front();
    const Bytes output = block->output();
    Result<void> written = output.empty()
                               ? fail(ErrorCode::internal, "cannot compress: out of memory")
                               : out_.write(output);
    give_back(std::move(block));
    return written;
  }

  void give_back(std::shared_ptr<GzipBlock> block) {
    block->reuse();
    spare_->give_back(std::move(block));
  }

  Writer& out_;
  WorkerPool& pool_;
  std::shared_ptr<BlockPool> spare_;
  std::shared_ptr<GzipBlock> current_;
  std::deque<std::shared_ptr<GzipBlock>> blocks_;  // under way, oldest first
  bool any_ = false;
};

}  // namespace

std::string gzip_engine_id() {
  return fmt::format("gzip/libdeflate-{}/{}/{}", LIBDEFLATE_VERSION_STRING, gzip_level,
                     block_bytes);
}

std::unique_ptr<Compressor> make_gzip(Writer& out, WorkerPool& pool,
                                      std::shared_ptr<BlockPool> blocks) {
  return std::make_unique<GzipCompressor>(out, pool, std::move(blocks));
}

}  // namespace detail

namespace {

constexpr std::size_t max_blocks = 16;

}  // namespace

BlockPool::BlockPool(std::size_t threads) noexcept : limit_(std::min(2 * threads, max_blocks)) {}

std::shared_ptr<detail::GzipBlock> BlockPool::take(bool is_first) {
  {
    const std::lock_guard lock(mutex_);
    if (taken_ >= limit_ && !is_first) {
      return nullptr;
    }
    ++taken_;
    if (!free_.empty()) {
      std::shared_ptr<detail::GzipBlock> block = std::move(free_.back());
      free_.pop_back();
      return block;
    }
  }
  return std::make_shared<detail::GzipBlock>();
}

void BlockPool::give_back(std::shared_ptr<detail::GzipBlock> block) {
  const std::lock_guard lock(mutex_);
  --taken_;
  if (block && taken_ + free_.size() < limit_) {
    free_.push_back(std::move(block));
  }
}

}  // namespace fnimage::layer
