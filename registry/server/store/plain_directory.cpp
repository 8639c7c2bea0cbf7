#include "store/plain_directory.hpp"

#include <cerrno>

#include <sys/stat.h>

#include <fnimage/base/atomic_file.hpp>

namespace fnimage::server {

namespace fs = std::filesystem;

bool is_plain_directory(const fs::path& path) noexcept {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<void> make_plain_directory(const fs::path& path) {
  if (is_plain_directory(path)) {
    return {};
  }
  if (::mkdir(path.c_str(), 0777) == 0) {
    return sync_directory(path.parent_path());
  }
  if (errno != EEXIST) {
    return fail(error_from_errno(errno, "create directory " + path.string()));
  }
  if (is_plain_directory(path)) {
    return {};  // another thread was faster
  }
  return fail(ErrorCode::already_exists, path.string() + " is in the way: it is not a directory",
              "move it away; links to other places are not followed in a store");
}

Result<void> refuse_other_than_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return fail(ErrorCode::already_exists, path.string() + " is in the way: it is no regular file");
  }
  return {};
}

bool are_plain_directories(const fs::path& root, const fs::path& relative) noexcept {
  try {
    fs::path path = root;
    for (const fs::path& part : relative) {
      path /= part;
      if (!is_plain_directory(path)) {
        return false;
      }
    }
    return true;
  } catch (const std::exception&) {
    return false;  // out of memory
  }
}

}  // namespace fnimage::server
