// See blob_age.hpp. By name, not by an open file, and looked for once more at the end: one that a
// collector has taken away in between has no name any more, and then nobody may be told that it is
// there. One that has its name after it was made young is safe: a collector looks at the age again
// when it has taken the name away.
#include <fcntl.h>
#include <sys/stat.h>

#include <fnimage/registry/blob_age.hpp>

namespace fnimage::registry {

namespace {

bool is_regular(const std::filesystem::path& file, struct stat& status) noexcept {
  return ::lstat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

std::optional<std::uint64_t> claim_blob(const std::filesystem::path& file,
                                        std::chrono::milliseconds age) noexcept {
  struct stat status {};
  if (!is_regular(file, status)) {
    return std::nullopt;
  }
  const auto modified = std::chrono::seconds(status.st_mtim.tv_sec) +
                        std::chrono::nanoseconds(status.st_mtim.tv_nsec);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  if (std::chrono::floor<std::chrono::milliseconds>(now - modified) > age) {
    // One that may not be changed stays as it is.
    (void)::utimensat(AT_FDCWD, file.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
    if (!is_regular(file, status)) {
      return std::nullopt;
    }
  }
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace fnimage::registry
