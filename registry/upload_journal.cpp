// See upload_journal.hpp. An entry is written in place, in one write: its lock is on the file
// itself. One that a crash has torn does not parse and is taken for none.
#include "upload_journal.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/json.hpp>

namespace fnimage::registry {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".upload";

/// Opens and locks an entry: its descriptor, or -1 when somebody else has it.
Result<int> lock_entry(const fs::path& path) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
      return fail(error_from_errno(errno, "open " + path.string()));
    }
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(fd);
      if (error == EWOULDBLOCK) {
        return -1;
      }
      return fail(error_from_errno(error, "lock " + path.string()));
    }
    struct stat found {};
    if (::fstat(fd, &found) == 0 && found.st_nlink > 0) {
      return fd;
    }
    ::close(fd);  // removed between open and lock
  }
}

std::string read_entry(int fd) {
  std::string text(UploadJournal::max_entry_bytes + 1, '\0');
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

Result<UploadJournal::State> parse_entry(std::string_view text, const UploadJournal::Key& key) {
  FNIMAGE_TRY(const nlohmann::json json, parse_json(text, "upload journal"));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, "upload journal"));
  FNIMAGE_TRY(const std::string registry, object.string_or("registry", ""));
  FNIMAGE_TRY(const std::string repository, object.string_or("repository", ""));
  FNIMAGE_TRY(const std::string digest, object.string_or("digest", ""));
  FNIMAGE_TRY(const std::int64_t size, object.integer_or("size", -1));
  FNIMAGE_TRY(const std::int64_t offset, object.integer_or("offset", -1));
  FNIMAGE_TRY(std::string location, object.string_or("location", ""));
  if (registry != key.registry || repository != key.repository || digest != key.digest.str() ||
      static_cast<std::uint64_t>(size) != key.size || offset < 0 || offset > size ||
      location.empty()) {
    return fail(ErrorCode::invalid_input, "upload journal: an entry of something else");
  }
  return UploadJournal::State{std::move(location), static_cast<std::uint64_t>(offset)};
}

struct OldEntry {
  fs::file_time_type time;
  fs::path path;
};

std::vector<OldEntry> list_entries(const fs::path& directory) {
  std::vector<OldEntry> entries;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    const fs::file_time_type time = at->last_write_time(ignored);
    if (at->path().extension() == suffix && !ignored) {
      entries.push_back({time, at->path()});
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const OldEntry& a, const OldEntry& b) { return a.time > b.time; });
  return entries;
}

/// Old entries, and the oldest of too many, but for those that somebody works with.
void prune(const fs::path& directory) {
  const auto oldest =
      fs::file_time_type::clock::now() - std::chrono::hours(24 * UploadJournal::max_days);
  const std::vector<OldEntry> entries = list_entries(directory);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i < UploadJournal::max_entries && entries[i].time >= oldest) {
      continue;
    }
    const auto fd = lock_entry(entries[i].path);
    if (fd && *fd >= 0) {
      ::unlink(entries[i].path.c_str());
      ::close(*fd);
    }
  }
}

}  // namespace

UploadJournal::Entry::Entry(Entry&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      key_(std::move(other.key_)),
      known_(std::move(other.known_)),
      kept_(other.kept_) {}

UploadJournal::Entry::~Entry() {
  if (fd_ < 0) {
    return;
  }
  if (!kept_) {
    ::unlink(path_.c_str());
  }
  ::close(fd_);
}

void UploadJournal::Entry::load() {
  auto state = parse_entry(read_entry(fd_), key_);
  if (state) {
    known_ = std::move(*state);
    kept_ = true;
  }
}

Result<void> UploadJournal::Entry::save(const State& state) {
  const nlohmann::json json = {{"registry", key_.registry},   {"repository", key_.repository},
                               {"digest", key_.digest.str()}, {"size", key_.size},
                               {"location", state.location},  {"offset", state.offset}};
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > max_entry_bytes) {
    return fail(ErrorCode::unsupported, "an upload's Location is too long to be noted");
  }
  const ssize_t written = ::pwrite(fd_, text.data(), text.size(), 0);
  if (written != static_cast<ssize_t>(text.size()) ||
      ::ftruncate(fd_, static_cast<off_t>(text.size())) != 0) {
    return fail(error_from_errno(written >= 0 ? ENOSPC : errno, "write " + path_.string()));
  }
  kept_ = true;
  if (key_.size >= synced_size && ::fdatasync(fd_) != 0) {
    return fail(error_from_errno(errno, "sync " + path_.string()));
  }
  return {};
}

void UploadJournal::Entry::remove() noexcept {
  kept_ = false;
}

Result<void> UploadJournal::prepare() {
  const std::lock_guard lock(mutex_);
  if (prepared_) {
    return {};
  }
  FNIMAGE_CHECK(make_directories(directory_.parent_path()));
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(error_from_errno(errno, "make directory " + directory_.string()));
  }
  prune(directory_);
  prepared_ = true;
  return {};
}

fs::path UploadJournal::path_of(const Key& key) const {
  const std::string name = key.registry + "\n" + key.repository + "\n" + key.digest.str();
  return directory_ /
         (std::string(manifest::Digest::of(name).hex().substr(0, 40)) + std::string(suffix));
}

Result<std::optional<UploadJournal::Entry>> UploadJournal::claim_known(const Key& key) {
  std::error_code error;
  if (!enabled() || !fs::exists(path_of(key), error)) {
    return std::nullopt;
  }
  return claim(key);
}

Result<std::optional<UploadJournal::Entry>> UploadJournal::claim(const Key& key) {
  if (!enabled()) {
    return std::nullopt;
  }
  FNIMAGE_CHECK(prepare());
  const fs::path path = path_of(key);
  FNIMAGE_TRY(const int fd, lock_entry(path));
  if (fd < 0) {
    return std::nullopt;
  }
  Entry entry(path, fd, key);
  entry.load();
  return std::optional<Entry>(std::move(entry));
}

}  // namespace fnimage::registry
