#include "store/uploads.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <fnimage/base/stream.hpp>

#include "store/plain_directory.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t upload_id_bytes = 16;

/// Only such ids are ever part of a path.
bool is_upload_id(std::string_view text) noexcept {
  return text.size() == 2 * upload_id_bytes &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::string> random_upload_id() {
  std::array<std::byte, upload_id_bytes> random{};
  // So few bytes never come short.
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return fail(error_from_errno(errno, "get random bytes"));
  }
  return to_hex(random);
}

/// @param flags besides: what happens when it is there.
Result<void> write_small(const fs::path& path, std::string_view text, int flags) {
  const FileHandle file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600));
  if (!file) {
    return fail(error_from_errno(errno, "create " + path.string()));
  }
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) {
    return fail(error_from_errno(written < 0 ? errno : ENOSPC, "write " + path.string()));
  }
  return {};
}

/// How long ago a file was written; not negative, whatever the clock did.
std::chrono::nanoseconds age_of(const FileStamp& stamp) {
  const std::chrono::nanoseconds modified(stamp.modified);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::max<std::chrono::nanoseconds>(now - modified, std::chrono::nanoseconds(0));
}

}  // namespace

Uploads::Uploads(fs::path directory, std::shared_ptr<Repositories> repositories,
                 const StoreLimits& limits)
    : directory_(std::move(directory)),
      repositories_(std::move(repositories)),
      limit_(limits.uploads),
      lifetime_(limits.upload_lifetime) {}

Result<std::shared_ptr<Uploads>> Uploads::open(const fs::path& directory,
                                               std::shared_ptr<Repositories> repositories,
                                               const StoreLimits& limits) {
  FNIMAGE_CHECK(make_plain_directory(directory));
  std::shared_ptr<Uploads> uploads(new Uploads(directory, std::move(repositories), limits));
  uploads->load();
  return uploads;
}

void Uploads::load() {
  std::error_code error;
  fs::directory_iterator entry(directory_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_upload_id(entry->path().filename().native()) && is_plain_directory(entry->path())) {
      load(entry->path());
    }
  }
}

/// One that was just being made, or has become a blob, is not complete, and goes.
void Uploads::load(const fs::path& directory) {
  constexpr std::uint64_t largest = std::uint64_t{64} << 10;
  const auto stamp = FileStamp::of(directory / "data");
  const bool is_session = FileStamp::of(directory / "session").has_value();
  const auto text = is_session ? read_file(directory / "session", largest) : std::string();
  auto session = text ? UploadSession::parse(*text) : std::nullopt;
  if (!stamp || !session) {
    std::error_code error;
    fs::remove_all(directory, error);
    return;
  }
  const std::string id = directory.filename().string();
  auto upload = std::make_shared<DiskUpload>(id, directory, std::move(*session), stamp->size,
                                             repositories_, weak_from_this());
  upload->set_last_use(DiskUpload::Clock::now() - age_of(*stamp));
  const std::lock_guard lock(mutex_);
  by_id_.emplace(id, std::move(upload));
}

Result<std::shared_ptr<DiskUpload>> Uploads::begin(UploadSession session) {
  FNIMAGE_TRY(const std::string id, random_upload_id());
  const auto has_room = [this] {
    const std::lock_guard lock(mutex_);
    const bool room = by_id_.size() + being_made_ < limit_;
    being_made_ += room ? 1 : 0;
    return room;
  };
  if (!has_room()) {
    expire();
    if (!has_room()) {
      return fail(Error(ErrorCode::rate_limited,
                        fmt::format("{} uploads are open, which is the limit", limit_))
                      .with_hint("try again later; uploads that are given up end by themselves")
                      .retryable());
    }
  }
  auto made = make(id, std::move(session));
  const std::lock_guard lock(mutex_);
  --being_made_;
  if (made) {
    by_id_.emplace(id, *made);
  }
  return made;
}

Result<std::shared_ptr<DiskUpload>> Uploads::make(const std::string& id, UploadSession session) {
  const fs::path directory = directory_ / id;
  if (::mkdir(directory.c_str(), 0700) != 0) {
    return fail(error_from_errno(errno, "create directory " + directory.string()));
  }
  Result<void> written = write_small(directory / "session", session.text(), O_EXCL);
  if (written) {
    written = write_small(directory / "data", {}, O_EXCL);
  }
  if (!written) {
    std::error_code error;
    fs::remove_all(directory, error);
    return fail(std::move(written).error());
  }
  return std::make_shared<DiskUpload>(id, directory, std::move(session), 0, repositories_,
                                      weak_from_this());
}

std::shared_ptr<DiskUpload> Uploads::find(const std::string& id, const std::string& repository,
                                          const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    return nullptr;
  }
  const UploadSession& session = found->second->session();
  const bool is_allowed =
      session.repository == repository && (session.owner.empty() || session.owner == owner);
  return is_allowed ? found->second : nullptr;
}

bool Uploads::remove(const std::string& id, const std::string& repository,
                     const std::string& owner) {
  const auto upload = find(id, repository, owner);
  if (!upload || !upload->drop()) {
    return false;
  }
  forget(id);
  return true;
}

std::vector<std::shared_ptr<DiskUpload>> Uploads::all() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<DiskUpload>> uploads;
  for (const auto& [id, upload] : by_id_) {
    uploads.push_back(upload);
  }
  return uploads;
}

void Uploads::remove_all_of(const std::string& owner) {
  auto uploads = all();
  std::erase_if(uploads, [&](const auto& upload) { return upload->session().owner != owner; });
  drop_if_older_than(uploads, DiskUpload::Clock::now());
}

void Uploads::expire() {
  drop_if_older_than(all(), DiskUpload::Clock::now() - lifetime_);
}

void Uploads::drop_if_older_than(const std::vector<std::shared_ptr<DiskUpload>>& uploads,
                                 DiskUpload::Clock::time_point time) {
  for (const auto& upload : uploads) {
    if (upload->drop_if_older_than(time)) {
      forget(upload->id());
    }
  }
}

std::size_t Uploads::count() const {
  const std::lock_guard lock(mutex_);
  return by_id_.size();
}

Result<void> Uploads::check() const {
  constexpr std::size_t block = 4096;  // less may find its place in a full file system
  const fs::path probe = directory_ / ".check";
  auto written = write_small(probe, std::string(block, 'x'), O_TRUNC);
  std::error_code ignored;
  fs::remove(probe, ignored);
  return written;
}

void Uploads::forget(const std::string& id) {
  const std::lock_guard lock(mutex_);
  by_id_.erase(id);
}

}  // namespace fnimage::server
