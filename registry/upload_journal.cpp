// See upload_journal.hpp. An entry is written in place, in one write: its lock is on the file
// itself. One that a crash has torn does not parse and is taken for none.
#include "upload_journal.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
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

struct Note {
  UploadJournal::Abandoned upload;
  std::string registry;
  std::string digest;
  std::int64_t size = 0;
  std::int64_t offset = 0;
};

Result<Note> parse_note(std::string_view text) {
  FNIMAGE_TRY(const nlohmann::json json, parse_json(text, "upload journal"));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, "upload journal"));
  Note note;
  FNIMAGE_TRY(note.registry, object.string_or("registry", ""));
  FNIMAGE_TRY(note.upload.repository, object.string_or("repository", ""));
  FNIMAGE_TRY(note.digest, object.string_or("digest", ""));
  FNIMAGE_TRY(note.size, object.integer_or("size", -1));
  FNIMAGE_TRY(note.offset, object.integer_or("offset", -1));
  FNIMAGE_TRY(note.upload.location, object.string_or("location", ""));
  return note;
}

Result<UploadJournal::State> parse_entry(std::string_view text, const UploadJournal::Key& key) {
  FNIMAGE_TRY(Note note, parse_note(text));
  if (note.registry != key.registry || note.upload.repository != key.repository ||
      note.digest != key.digest.str() || static_cast<std::uint64_t>(note.size) != key.size ||
      note.offset < 0 || note.offset > note.size || note.upload.location.empty()) {
    return fail(ErrorCode::invalid_input, "upload journal: an entry of something else");
  }
  return UploadJournal::State{std::move(note.upload.location),
                              static_cast<std::uint64_t>(note.offset)};
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

/// Old entries go, and the oldest of too many, but for those that somebody works with. What one
/// registry may still hold of them is returned.
class Pruning {
 public:
  explicit Pruning(const std::string& registry) : registry_(registry) {}

  std::vector<UploadJournal::Abandoned> run(const fs::path& directory) {
    const std::vector<OldEntry> entries = list_entries(directory);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const bool is_surplus = i >= UploadJournal::max_entries;
      if (is_surplus || entries[i].time < oldest_) {
        prune(entries[i], is_surplus);
      }
    }
    return std::move(abandoned_);
  }

 private:
  void prune(const OldEntry& entry, bool is_surplus) {
    const auto fd = lock_entry(entry.path);
    if (!fd || *fd < 0) {
      return;
    }
    auto note = parse_note(read_entry(*fd));
    if (is_surplus || !note || !waits(*note, entry.time)) {
      if (note && is_ours(*note) && has_room()) {
        abandoned_.push_back(std::move(note->upload));
      }
      ::unlink(entry.path.c_str());
    }
    ::close(*fd);
  }

  /// For a run that has to do with its registry, or has the time.
  [[nodiscard]] bool waits(const Note& note, fs::file_time_type time) const {
    return is_ours(note) ? !has_room() : time >= oldest_ - keep_time;
  }
  [[nodiscard]] bool is_ours(const Note& note) const {
    return note.registry == registry_ && !note.upload.location.empty();
  }
  [[nodiscard]] bool has_room() const { return abandoned_.size() < UploadJournal::max_abandoned; }

  static constexpr std::chrono::hours keep_time{24 * UploadJournal::max_days};

  const std::string& registry_;
  fs::file_time_type oldest_ = fs::file_time_type::clock::now() - keep_time;
  std::vector<UploadJournal::Abandoned> abandoned_;
};

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

Result<void> UploadJournal::prepare(const std::string& registry) {
  const std::lock_guard lock(mutex_);
  if (prepared_) {
    return {};
  }
  FNIMAGE_CHECK(make_directories(directory_.parent_path()));
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(error_from_errno(errno, "make directory " + directory_.string()));
  }
  abandoned_ = Pruning(registry).run(directory_);
  prepared_ = true;
  return {};
}

std::vector<UploadJournal::Abandoned> UploadJournal::take_abandoned() {
  const std::lock_guard lock(mutex_);
  return std::exchange(abandoned_, {});
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
  FNIMAGE_CHECK(prepare(key.registry));
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
