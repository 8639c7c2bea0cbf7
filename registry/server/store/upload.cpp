#include "store/upload.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>

#include "store/uploads.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

using manifest::Digest;

namespace {

constexpr std::string_view session_mark = "fnimage upload 1";

tl::unexpected<Error> upload_is_over() {
  return fail(ErrorCode::not_found, "the upload has ended");
}

}  // namespace

std::string UploadSession::text() const {
  return fmt::format("{}\n{}\n{}\n{}", session_mark, repository, algorithm, owner);
}

std::optional<UploadSession> UploadSession::parse(std::string_view text) {
  std::array<std::string_view, 3> lines;
  for (std::string_view& line : lines) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return std::nullopt;
    }
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  const auto [mark, repository, algorithm] = lines;
  if (mark != session_mark || !is_valid_repository(repository) ||
      (algorithm != "sha256" && algorithm != "sha512")) {
    return std::nullopt;
  }
  return UploadSession{std::string(repository), std::string(text), std::string(algorithm)};
}

/// Holds the file open as long as a request lasts.
class DiskUpload::DiskWriting final : public Upload::Writing {
 public:
  DiskWriting(std::shared_ptr<DiskUpload> upload, FileHandle file)
      : upload_(std::move(upload)), file_(std::move(file)) {}
  DiskWriting(const DiskWriting&) = delete;
  DiskWriting& operator=(const DiskWriting&) = delete;
  ~DiskWriting() override { upload_->end_writing(); }

  Result<void> write(Bytes bytes) override { return upload_->write(file_, bytes); }
  Result<void> finish(const Digest& digest) override { return upload_->finish(file_, digest); }
  Result<std::shared_ptr<const OpenFile>> reader() override {
    return OpenFile::open(upload_->data());
  }

 private:
  std::shared_ptr<DiskUpload> upload_;
  FileHandle file_;
};

DiskUpload::DiskUpload(std::string id, fs::path directory, UploadSession session,
                       std::uint64_t size, std::shared_ptr<Repositories> repositories,
                       std::weak_ptr<Uploads> uploads)
    : id_(std::move(id)),
      directory_(std::move(directory)),
      session_(std::move(session)),
      repositories_(std::move(repositories)),
      uploads_(std::move(uploads)),
      size_(size),
      hash_(session_.algorithm),
      last_use_(Clock::now()) {}

Result<std::unique_ptr<Upload::Writing>> DiskUpload::begin() {
  const std::lock_guard lock(mutex_);
  if (is_over_) {
    return upload_is_over();
  }
  if (is_busy_) {
    return fail(ErrorCode::already_exists, "another request is writing to this upload");
  }
  FileHandle file(::open(data().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file) {
    return fail(error_from_errno(errno, "open " + data().string()));
  }
  is_busy_ = true;
  return std::make_unique<DiskWriting>(shared_from_this(), std::move(file));
}

Result<void> DiskUpload::write(const FileHandle& file, Bytes bytes) {
  // Writing to disk begins early, so that finish() has little to wait for.
  constexpr std::uint64_t flushed_at_once = std::uint64_t{8} << 20;
  while (!bytes.empty()) {
    if (is_over_) {
      return upload_is_over();
    }
    const std::uint64_t at = size_;
    const ssize_t count = ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return fail(error_from_errno(errno, "write to " + data().string()));
    }
    const auto written = static_cast<std::size_t>(count);
    if (hash_.size() == at) {
      hash_.update(bytes.first(written));
    }
    size_ = at + written;
    if (at / flushed_at_once != (at + written) / flushed_at_once) {
      const std::uint64_t begin = (at / flushed_at_once) * flushed_at_once;
      (void)::sync_file_range(file.get(), static_cast<off_t>(begin),
                              static_cast<off_t>(at + written - begin), SYNC_FILE_RANGE_WRITE);
    }
    bytes = bytes.subspan(written);
  }
  return {};
}

/// After a restart, or for another algorithm than was thought of, the file is read.
Result<void> DiskUpload::hash_up_to_size(const FileHandle& file, std::string_view algorithm) {
  if (hash_.algorithm() != algorithm) {
    hash_ = RunningHash(algorithm);
  }
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  while (hash_.size() < size_) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), size_.load() - hash_.size());
    const ssize_t count =
        ::pread(file.get(), buffer.data(), wanted, static_cast<off_t>(hash_.size()));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return fail(error_from_errno(count < 0 ? errno : EIO, "read " + data().string()));
    }
    hash_.update(Bytes(buffer).first(static_cast<std::size_t>(count)));
  }
  return {};
}

/// When this fails, nobody knows which of the bytes are on the disk, even if a second try succeeds:
/// the upload begins anew.
Result<void> DiskUpload::make_safe(const FileHandle& file) {
  if (::fdatasync(file.get()) == 0) {
    return {};
  }
  Error error = error_from_errno(errno, "write to " + data().string());
  if (::ftruncate(file.get(), 0) == 0) {
    size_ = 0;
    hash_ = RunningHash(session_.algorithm);
  }
  return fail(std::move(error));
}

Result<void> DiskUpload::finish(const FileHandle& file, const Digest& digest) {
  FNIMAGE_CHECK(hash_up_to_size(file, digest.algorithm()));
  if (const Digest actual = hash_.digest(); actual != digest) {
    return fail(ErrorCode::verification,
                fmt::format("the bytes have digest {} instead of {}", actual.str(), digest.str()));
  }
  FNIMAGE_CHECK(make_safe(file));
  FNIMAGE_CHECK(become_blob(digest));
  remove_directory();
  if (const auto uploads = uploads_.lock()) {
    uploads->forget(id_);
  }
  return {};
}

Result<void> DiskUpload::become_blob(const Digest& digest) {
  FNIMAGE_TRY(const auto repository, repositories_->create(session_.repository));
  const std::lock_guard lock(mutex_);  // against drop()
  if (is_over_) {
    return upload_is_over();
  }
  FNIMAGE_CHECK(repository->adopt_blob(digest, data()));
  is_over_ = true;
  return {};
}

void DiskUpload::end_writing() noexcept {
  const std::lock_guard lock(mutex_);
  is_busy_ = false;
  last_use_ = Clock::now();
}

void DiskUpload::set_last_use(Clock::time_point time) {
  const std::lock_guard lock(mutex_);
  last_use_ = time;
}

bool DiskUpload::drop() {
  return drop_if_older_than(Clock::time_point::max());
}

bool DiskUpload::drop_if_older_than(Clock::time_point time) {
  {
    const std::lock_guard lock(mutex_);
    const bool is_forced = time == Clock::time_point::max();
    if (is_over_ || (!is_forced && (is_busy_ || last_use_ >= time))) {
      return false;
    }
    is_over_ = true;
  }
  (void)::truncate(data().c_str(), 0);  // a request may hold the file open: its room is free now
  remove_directory();
  return true;
}

void DiskUpload::remove_directory() noexcept {
  std::error_code error;
  fs::remove_all(directory_, error);
}

}  // namespace fnimage::server
