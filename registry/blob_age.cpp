// See blob_age.hpp. By name, not by an open file: one that a collector has taken away in between
// has no name any more, and then nobody may be told that it is there.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

#include <fnimage/registry/blob_age.hpp>

namespace fnimage::registry {

std::optional<std::uint64_t> claim_blob(const std::filesystem::path& file,
                                        std::chrono::milliseconds age) noexcept {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  const auto modified = std::chrono::seconds(status.st_mtim.tv_sec) +
                        std::chrono::nanoseconds(status.st_mtim.tv_nsec);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  if (std::chrono::floor<std::chrono::milliseconds>(now - modified) > age &&
      ::utimensat(AT_FDCWD, file.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace fnimage::registry
