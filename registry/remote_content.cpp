// See remote_content.hpp. A thread per open reader pushes the body through a bounded pipe; it ends
// with the reader.
#include "remote_content.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include <fnimage/base/caught.hpp>

#include "blob_download.hpp"

namespace fnimage::registry {

namespace {

/// Bytes on their way from the network's thread to the reader's.
class Pipe final : public Writer {
 public:
  static constexpr std::size_t max_held = std::size_t{1} << 20;

  Result<void> write(Bytes bytes) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return held_.size() < max_held || closed_; });
    if (closed_) {
      return fail(ErrorCode::cancelled, "nobody reads on");
    }
    held_ += as_text(bytes);
    changed_.notify_all();
    return {};
  }

  void end(Result<void> result) {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    result_ = std::move(result);
    changed_.notify_all();
  }

  Result<std::size_t> pull(MutableBytes target) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return offset_ < held_.size() || ended_; });
    const std::size_t count = std::min(target.size(), held_.size() - offset_);
    if (count == 0) {
      FNIMAGE_CHECK(result_);
      return std::size_t{0};
    }
    std::memcpy(target.data(), held_.data() + offset_, count);
    offset_ += count;
    if (offset_ == held_.size()) {
      held_.clear();
      offset_ = 0;
      changed_.notify_all();
    }
    return count;
  }

  /// From now on write() fails, and nobody waits for the network's next answer.
  void close() {
    stop();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  void stop() { stop_.request_stop(); }
  [[nodiscard]] std::stop_token stop_token() const { return stop_.get_token(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string held_;
  std::size_t offset_ = 0;
  Result<void> result_;
  bool ended_ = false;
  bool closed_ = false;
  std::stop_source stop_;
};

class RemoteReader final : public Reader {
 public:
  RemoteReader(BlobPlace source, std::uint64_t offset)
      : source_(std::move(source)), offset_(offset) {}
  RemoteReader(const RemoteReader&) = delete;
  RemoteReader& operator=(const RemoteReader&) = delete;
  ~RemoteReader() override { pipe_.close(); }  // and the thread, declared last, is joined first

  Result<std::size_t> read(MutableBytes buffer) override {
    if (!begun_) {
      begun_ = true;
      if (*source_.size <= fits_in_pipe) {
        download();
      } else {
        FNIMAGE_CHECK(caught([this]() -> Result<void> {  // a limit of threads
          thread_ = std::jthread([this] { download(); });
          return {};
        }));
      }
    }
    return pipe_.pull(buffer);
  }

 private:
  /// A config is not worth a thread: the pipe holds all of it.
  static constexpr std::uint64_t fits_in_pipe = Pipe::max_held / 4;

  void download() {
    const std::stop_callback link(source_.session->stop_token(), [this] { pipe_.stop(); });
    pipe_.end(download_blob(source_, offset_, pipe_, pipe_.stop_token()));
  }

  BlobPlace source_;
  std::uint64_t offset_;
  bool begun_ = false;
  Pipe pipe_;
  std::jthread thread_;
};

class RemoteBlob final : public Content {
 public:
  RemoteBlob(BlobPlace source, const manifest::Descriptor& blob)
      : source_(std::move(source)), digest_(blob.digest), size_(blob.size) {}

  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }

  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    if (offset > size_) {
      return fail(ErrorCode::invalid_argument, source_.path + ": opened behind its end");
    }
    std::unique_ptr<Reader> reader = std::make_unique<RemoteReader>(source_, offset);
    if (offset > 0) {
      return reader;
    }
    return manifest::verifying_reader(std::move(reader), digest_, size_,
                                      source_.session->registry() + source_.path);
  }

 private:
  BlobPlace source_;
  manifest::Digest digest_;
  std::uint64_t size_;
};

}  // namespace

ContentPtr remote_blob(std::shared_ptr<Session> session, std::string path, Scopes scopes,
                       const manifest::Descriptor& blob) {
  return std::make_shared<RemoteBlob>(
      BlobPlace{std::move(session), std::move(path), std::move(scopes), blob.size}, blob);
}

}  // namespace fnimage::registry
