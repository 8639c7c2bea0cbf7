#include "store/repository_index.hpp"

#include <cerrno>
#include <thread>

#include <time.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/registry/layout_reader.hpp>

namespace fnimage::server {

namespace fs = std::filesystem;

namespace {

/// The clock by which file systems say when a file was modified.
std::int64_t file_time() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

/// More than a tick of that clock.
constexpr std::int64_t settling_time = 50'000'000;  // ns

/// The same but for when it got or lost a name.
bool is_same_file(const FileStamp& a, const FileStamp& b) noexcept {
  return a.device == b.device && a.inode == b.inode && a.size == b.size && a.modified == b.modified;
}

}  // namespace

RepositoryIndex::RepositoryIndex(const fs::path& layout, const manifest::ListLimits& limits)
    : path_(layout / registry::layout_index), limits_(limits) {}

IndexContent::Ptr RepositoryIndex::known(const FileStamp& stamp) {
  const std::lock_guard lock(mutex_);
  if (loaded_.content && loaded_.is_settled && loaded_.stamp == stamp) {
    return loaded_.content;
  }
  return written_.content && is_same_file(written_.stamp, stamp) ? written_.content : nullptr;
}

Result<IndexContent::Ptr> RepositoryIndex::current() {
  const auto stamp = FileStamp::of(path_);
  if (!stamp) {
    return fail(ErrorCode::not_found, path_.string() + " is not there, or is no regular file");
  }
  if (auto content = known(*stamp)) {
    return content;
  }
  return load();
}

Result<IndexContent::Ptr> RepositoryIndex::load() {
  const std::lock_guard loading(loading_);
  // Tools that write in place show a part of the file for a moment.
  constexpr int attempts = 3;
  constexpr std::chrono::milliseconds pause(10);
  for (int attempt = 1;; ++attempt) {
    if (const auto stamp = FileStamp::of(path_)) {
      if (auto content = known(*stamp)) {
        return content;  // another thread was faster
      }
    }
    auto loaded = read();
    if (loaded) {
      auto content = loaded->content;
      // Of one that was replaced meanwhile the next may be known already.
      if (FileStamp::of(path_) == loaded->stamp) {
        set(std::move(*loaded));
      }
      return content;
    }
    if (attempt == attempts || loaded.error().code() != ErrorCode::invalid_input) {
      return fail(std::move(loaded).error().while_doing("read " + path_.string()));
    }
    std::this_thread::sleep_for(pause);
  }
}

Result<RepositoryIndex::Loaded> RepositoryIndex::read() const {
  const std::int64_t now = file_time();
  FNIMAGE_TRY(auto file, OpenFile::open(path_));
  const auto stamp = FileStamp::of(file->descriptor());
  if (!stamp || stamp->size > limits_.max_bytes) {
    return fail(ErrorCode::invalid_input, "it is too large");
  }
  FNIMAGE_TRY(const std::string text, file->read_text(0, file->size()));
  // That it was replaced does not matter: it is what stood there when it was opened.
  const auto after = FileStamp::of(file->descriptor());
  if (!after || !is_same_file(*after, *stamp)) {
    return fail(ErrorCode::invalid_input, "it changes while it is read");
  }
  FNIMAGE_TRY(auto content, IndexContent::parse(text, limits_));
  return Loaded{.content = std::move(content),
                .stamp = *stamp,
                .file = std::move(file),
                .is_settled = stamp->modified + settling_time < now};
}

void RepositoryIndex::set(Loaded loaded) {
  const std::lock_guard lock(mutex_);
  std::swap(loaded_, loaded);  // the old one goes after the lock
}

Result<void> RepositoryIndex::write(const IndexContent::Ptr& content,
                                    const std::function<Result<void>()>& before) {
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(path_.parent_path()));
  FNIMAGE_CHECK(content->write_to(file));
  FNIMAGE_CHECK(file.sync());
  if (before) {
    FNIMAGE_CHECK(before());
  }
  const auto written = FileStamp::of(file.temporary_path());
  if (!written) {
    return fail(ErrorCode::io, "a file that was just written is gone: " + path_.string());
  }
  {
    const std::lock_guard lock(mutex_);
    written_ = {.content = content, .stamp = *written};
  }
  auto committed = file.commit(path_, false);
  if (committed) {
    committed = sync_directory(path_.parent_path());
  }
  Loaded next;
  if (auto standing = OpenFile::open(path_); committed && standing) {
    const auto stamp = FileStamp::of((*standing)->descriptor());
    if (stamp && is_same_file(*stamp, *written)) {
      next = {.content = content, .stamp = *stamp, .file = std::move(*standing)};
    }
  }
  set(std::move(next));
  const std::lock_guard lock(mutex_);
  written_ = {};
  return committed;
}

Result<void> RepositoryIndex::sync() const {
  FNIMAGE_TRY(const auto file, OpenFile::open(path_));
  if (::fsync(file->descriptor()) != 0 && errno != EINVAL && errno != EROFS) {
    return fail(error_from_errno(errno, "sync " + path_.string()));
  }
  return sync_directory(path_.parent_path());
}

}  // namespace fnimage::server
