// Crash-safe files and temporary directories, see the header for the protocol.
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>

#include "unique_fd.hpp"

namespace fnimage {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view temporary_prefix = ".tmp-";

Error storage_error(int errno_value, std::string_view what, const fs::path& directory) {
  Error error = error_from_errno(errno_value, what);
  if (error.code() == ErrorCode::no_space) {
    return Error(ErrorCode::no_space, error.message())
        .with_hint("free some space on the file system of " + directory.string() +
                   " and run the command again");
  }
  return error;
}

std::string random_name() {
  std::array<std::byte, 8> random{};
  // getrandom() of so few bytes neither blocks for long nor comes short once the system is up;
  // O_EXCL guards the rest.
  (void)::getrandom(random.data(), random.size(), 0);
  return std::string(temporary_prefix) + std::to_string(::getpid()) + "-" + to_hex(random);
}

/// The writer's process id in the name of a temporary file.
std::optional<pid_t> writer_of(std::string_view name) noexcept {
  if (!name.starts_with(temporary_prefix)) {
    return std::nullopt;
  }
  name.remove_prefix(temporary_prefix.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc{} || end == name.data() + name.size() || *end != '-' || pid <= 0) {
    return std::nullopt;
  }
  return pid;
}

/// A process of another pid namespace (a container sharing the store) has no id here: its lock
/// tells that it lives.
bool is_abandoned(const fs::path& file, pid_t writer) noexcept {
  if (::kill(writer, 0) == 0 || errno != ESRCH) {
    return false;
  }
  const detail::UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

/// Gives the owner access to every directory below, so that a tree with read-only directories can
/// be removed.
void open_directories(const fs::path& root) noexcept {
  std::error_code error;
  fs::permissions(root, fs::perms::owner_all, fs::perm_options::add, error);
  fs::directory_iterator entry(root, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (fs::is_directory(entry->symlink_status(ignored))) {
      open_directories(entry->path());
    }
  }
}

void remove_tree(const fs::path& root) noexcept {
  if (root.empty()) {
    return;
  }
  std::error_code error;
  fs::remove_all(root, error);
  if (error) {
    open_directories(root);
    fs::remove_all(root, error);
  }
}

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const fs::path& directory) {
  FNIMAGE_CHECK(make_directories(directory));
  constexpr int attempts = 16;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    fs::path path = directory / random_name();
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      (void)::flock(fd,
                    LOCK_EX | LOCK_NB);  // for remove_stale_temporaries(); a failure loses nothing
      return AtomicFile(std::move(path), fd);
    }
    if (errno != EEXIST) {
      return fail(storage_error(errno, "create a file in " + directory.string(), directory));
    }
  }
  return fail(ErrorCode::io, "cannot find a free temporary name in " + directory.string());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), fd_(std::exchange(other.fd_, -1)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::exchange(other.path_, {});
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::discard() noexcept {
  if (!path_.empty()) {
    ::unlink(path_.c_str());
    path_.clear();
  }
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

Result<void> AtomicFile::write(Bytes bytes) {
  if (fd_ < 0) {
    return fail(ErrorCode::internal, "write to a file that is already committed");
  }
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      const fs::path directory = directory_of(path_);
      return fail(storage_error(errno, "write to " + directory.string(), directory));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> AtomicFile::sync() {
  if (fd_ < 0) {
    return fail(ErrorCode::internal, "sync of a file that is already committed");
  }
  if (::fsync(fd_) != 0) {
    const fs::path directory = directory_of(path_);
    return fail(storage_error(errno, "write to " + directory.string(), directory));
  }
  return {};
}

Result<void> AtomicFile::commit(const fs::path& final_path, bool durable) {
  if (fd_ < 0) {
    return fail(ErrorCode::internal, "commit of a file that is already committed");
  }
  const fs::path directory = directory_of(final_path);
  const auto failed = [&](int errno_value) {
    Error error = storage_error(errno_value, "write " + final_path.string(), directory);
    discard();
    return fail(std::move(error));
  };
  if (durable && ::fsync(fd_) != 0) {
    return failed(errno);
  }
  if (::rename(path_.c_str(), final_path.c_str()) != 0) {
    return failed(errno);
  }
  path_.clear();
  // Network file systems may report a lost write only here, after the rename: the file must not
  // stay then.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) {
    const int errno_value = errno;
    ::unlink(final_path.c_str());
    return failed(errno_value);
  }
  return durable ? sync_directory(directory) : Result<void>{};
}

Result<void> write_file_atomically(const fs::path& path, std::string_view bytes, bool durable) {
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(directory_of(path)));
  FNIMAGE_CHECK(file.write(as_bytes(bytes)));
  return file.commit(path, durable);
}

Result<void> make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) {
    return fail(storage_error(error.value(), "create directory " + path.string(), path));
  }
  return {};
}

Result<void> sync_directory(const fs::path& directory) {
  const detail::UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail(error_from_errno(errno, "open directory " + directory.string()));
  }
  // Some file systems cannot sync a directory; there is nothing better to do on them.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS) {
    return fail(storage_error(errno, "sync directory " + directory.string(), directory));
  }
  return {};
}

bool is_stale_temporary(const fs::path& file) noexcept {
  try {
    const std::optional<pid_t> writer = writer_of(file.filename().native());
    std::error_code error;
    const fs::file_status status = fs::symlink_status(file, error);
    return writer && (fs::is_regular_file(status) || fs::is_directory(status)) &&
           is_abandoned(file, *writer);
  } catch (const std::exception&) {
    return false;  // out of memory
  }
}

void remove_stale_temporaries(const fs::path& directory) noexcept {
  try {
    std::error_code error;
    fs::directory_iterator entry(directory, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (is_stale_temporary(entry->path())) {
        remove_tree(entry->path());
      }
    }
  } catch (const std::exception&) {
    return;  // out of memory while cleaning up: the next run cleans up
  }
}

Result<TemporaryDirectory> TemporaryDirectory::create(std::string_view prefix) {
  std::error_code error;
  const fs::path base = fs::temp_directory_path(error);
  if (error) {
    return fail(ErrorCode::not_found, "no temporary directory: " + error.message(),
                "set TMPDIR to a directory that exists");
  }
  std::string name = (base / (std::string(prefix) + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) {
    return fail(storage_error(errno, "create a temporary directory in " + base.string(), base));
  }
  return TemporaryDirectory(fs::path(std::move(name)));
}

Result<TemporaryDirectory> TemporaryDirectory::create_in(const fs::path& directory) {
  FNIMAGE_CHECK(make_directories(directory));
  fs::path path = directory / random_name();
  if (::mkdir(path.c_str(), 0700) != 0) {
    return fail(storage_error(errno, "create a directory in " + directory.string(), directory));
  }
  const int lock = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock >= 0) {
    (void)::flock(lock, LOCK_EX | LOCK_NB);
  }
  return TemporaryDirectory(std::move(path), lock);
}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}

TemporaryDirectory& TemporaryDirectory::operator=(TemporaryDirectory&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::exchange(other.path_, {});
    lock_ = std::exchange(other.lock_, -1);
  }
  return *this;
}

TemporaryDirectory::~TemporaryDirectory() {
  discard();
}

void TemporaryDirectory::discard() noexcept {
  remove_tree(path_);
  if (lock_ >= 0) {
    ::close(lock_);
  }
}

}  // namespace fnimage
