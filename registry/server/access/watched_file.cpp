#include "access/watched_file.hpp"

#include <chrono>

#include <fmt/format.h>

#include <fnimage/base/bytes.hpp>
#include <fnimage/base/text.hpp>

#include "access/secrets.hpp"
#include "http/open_file.hpp"

namespace fnimage::server {

namespace {

constexpr std::uint64_t largest_file = std::uint64_t{16} << 20U;
/// A file system's clock ticks in steps: what is changed twice within one looks as before.
constexpr std::chrono::seconds coarsest_tick{2};

std::int64_t nanoseconds_of(const timespec& time) {
  constexpr std::int64_t billion = 1'000'000'000;
  return time.tv_sec * billion + time.tv_nsec;
}

}  // namespace

WatchedFile::Stamp WatchedFile::stamp_of(const struct stat& status) {
  return {.device = static_cast<std::uint64_t>(status.st_dev),
          .inode = static_cast<std::uint64_t>(status.st_ino),
          .size = static_cast<std::int64_t>(status.st_size),
          .modified = nanoseconds_of(status.st_mtim),
          .status_changed = nanoseconds_of(status.st_ctim)};
}

Result<std::optional<std::string>> WatchedFile::changed() {
  struct stat status {};
  if (is_settled_ && ::stat(path_.c_str(), &status) == 0 && stamp_ == stamp_of(status)) {
    return std::nullopt;
  }
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  FNIMAGE_TRY(const auto file, OpenFile::open(path_));
  if (::fstat(file->descriptor(), &status) != 0) {
    return fail(error_from_errno(errno, "look at " + path_.string()));
  }
  if (file->size() > largest_file) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("{} has more than {}", printable(path_.string()), human_size(largest_file)));
  }
  FNIMAGE_TRY(std::string text, file->read_text(0, file->size()));
  stamp_ = stamp_of(status);
  const auto since = now - std::chrono::nanoseconds(stamp_->status_changed);
  is_settled_ = since > coarsest_tick;
  std::string hash = sha256_hex(text);
  if (hash_ == hash) {
    return std::nullopt;
  }
  hash_ = std::move(hash);
  return text;
}

}  // namespace fnimage::server
