#include "store/blob_files.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>

#include "store/file_handle.hpp"
#include "store/file_stamp.hpp"
#include "store/plain_directory.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

using manifest::Digest;

namespace {

/// Another process may have given the file its name and not synced it yet. False = it has just been
/// removed.
Result<bool> sync_blob(const fs::path& file) {
  const FileHandle handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!handle && errno == ENOENT) {
    return false;
  }
  if (!handle || (::fsync(handle.get()) != 0 && errno != EINVAL && errno != EROFS)) {
    return fail(error_from_errno(errno, "sync " + file.string()));
  }
  return true;
}

bool is_no_room(int errno_value) noexcept {
  return errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EIO;
}

}  // namespace

fs::path BlobFiles::directory_of(const Digest& digest) const {
  return directory_ / digest.algorithm();
}

fs::path BlobFiles::path_of(const Digest& digest) const {
  return directory_of(digest) / digest.hex();
}

std::optional<std::uint64_t> BlobFiles::size_of(const Digest& digest) const {
  const auto stamp = FileStamp::of(path_of(digest));
  return stamp ? std::optional(stamp->size) : std::nullopt;
}

std::optional<std::uint64_t> BlobFiles::claim(const Digest& digest) const {
  return registry::claim_blob(path_of(digest), refresh_age_);
}

Result<std::optional<std::shared_ptr<const OpenFile>>> BlobFiles::open(const Digest& digest) const {
  std::optional<std::shared_ptr<const OpenFile>> none;
  const fs::path path = path_of(digest);
  if (!FileStamp::of(path)) {
    return none;
  }
  auto file = OpenFile::open(path);
  if (!file && file.error().code() == ErrorCode::not_found) {
    return none;
  }
  FNIMAGE_CHECK(file);
  return std::optional(std::move(*file));
}

Result<std::optional<std::string>> BlobFiles::read(const Digest& digest,
                                                   std::uint64_t limit) const {
  FNIMAGE_TRY(const auto file, open(digest));
  if (!file || (*file)->size() > limit) {
    return std::optional<std::string>();
  }
  FNIMAGE_TRY(std::string bytes, (*file)->read_text(0, (*file)->size()));
  auto hasher = manifest::Hasher::for_digest(digest);
  hasher.update(as_bytes(bytes));
  return hasher.finish() == digest ? std::optional(std::move(bytes)) : std::nullopt;
}

Result<void> BlobFiles::make_directory(const Digest& digest) const {
  FNIMAGE_CHECK(make_plain_directory(directory_));
  return make_plain_directory(directory_of(digest));
}

Result<void> BlobFiles::put(const Digest& digest, const std::string& bytes) const {
  FNIMAGE_CHECK(make_directory(digest));
  // Compared whole, since damage need not change the size.
  FNIMAGE_TRY(const auto stored, read(digest, bytes.size()));
  if (stored && claim(digest)) {
    FNIMAGE_TRY(const bool is_there, sync_blob(path_of(digest)));
    if (is_there) {
      return {};
    }
  }
  FNIMAGE_TRY(AtomicFile file, AtomicFile::create(directory_of(digest)));
  FNIMAGE_CHECK(file.write(as_bytes(bytes)));
  FNIMAGE_CHECK(file.sync());
  return file.commit(path_of(digest), false);
}

Result<void> BlobFiles::adopt(const Digest& digest, const fs::path& file) const {
  FNIMAGE_CHECK(make_directory(digest));
  const fs::path path = path_of(digest);
  // Its last byte may have come long ago, and as a blob it is new.
  (void)::utimensat(AT_FDCWD, file.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  // What stands there may be damaged: the new bytes are verified, so they replace it.
  if (::rename(file.c_str(), path.c_str()) == 0) {
    return sync(digest);
  }
  if (errno != EXDEV) {
    return fail(error_from_errno(errno, "write " + path.string()));
  }
  std::error_code error;
  FNIMAGE_CHECK(copy_from(digest, file, fs::file_size(file, error)));
  fs::remove(file, error);
  return {};
}

Result<void> BlobFiles::copy_from(const Digest& digest, const fs::path& file,
                                  std::uint64_t size) const {
  FNIMAGE_TRY(AtomicFile out, AtomicFile::create(directory_of(digest)));
  FNIMAGE_TRY(auto reader, open_file(file));
  const auto verified =
      manifest::verifying_reader(std::move(reader), digest, size, "blob " + digest.str());
  FNIMAGE_CHECK(copy(*verified, out));
  return out.commit(path_of(digest));
}

Result<bool> BlobFiles::link(const Digest& digest, const BlobFiles& from) const {
  const fs::path file = from.path_of(digest);
  const fs::path path = path_of(digest);
  const auto source_size = from.claim(digest);  // the new name is as young as the old one
  if (!source_size) {
    return false;
  }
  FNIMAGE_TRY(const bool is_source_there, sync_blob(file));
  if (!is_source_there) {
    return false;
  }
  FNIMAGE_CHECK(make_directory(digest));
  bool has_name = false;
  if (claim(digest) == source_size) {
    FNIMAGE_TRY(has_name, sync_blob(path));
  }
  if (!has_name && ::link(file.c_str(), path.c_str()) != 0) {
    if (is_no_room(errno)) {
      return fail(error_from_errno(errno, "write " + path.string()));
    }
    // It is there with another size, or the file systems do not allow it.
    if (auto copied = copy_from(digest, file, *source_size); !copied) {
      return FileStamp::of(file) ? Result<bool>(fail(std::move(copied).error())) : false;
    }
  }
  FNIMAGE_CHECK(sync(digest));
  return true;
}

Result<bool> BlobFiles::remove(const Digest& digest) const {
  const fs::path path = path_of(digest);
  if (::unlink(path.c_str()) == 0) {
    return true;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return false;
  }
  return fail(error_from_errno(errno, "remove " + path.string()));
}

Result<void> BlobFiles::sync(const Digest& digest) const {
  return sync_directory(directory_of(digest));
}

}  // namespace fnimage::server
