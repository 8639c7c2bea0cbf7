// See confinement.hpp. The kernel's interface grew by versions; a bit that it does not know makes
// it refuse the whole, so that each version's are asked for only where it is there.
#include "debian/confinement.hpp"

#include <cstdint>
#include <memory>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fnimage::source::debian {
namespace {

/// struct landlock_ruleset_attr as of version 4; older kernels take it while what they do not know
/// is zero.
struct RulesetAttributes {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
};

constexpr std::uint64_t execute = LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t read_files = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t read_trees = execute | read_files | LANDLOCK_ACCESS_FS_READ_DIR;
/// Newer than some headers: version 3, version 4 (bind and connect).
constexpr std::uint64_t truncate_files = std::uint64_t{1} << 14;
constexpr std::uint64_t tcp = 3;

/// Everything of version 1: up to making symbolic links.
constexpr std::uint64_t files_of_version_1 = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
constexpr int version_with_truncate = 3;
constexpr int version_with_network = 4;

class Descriptor {
 public:
  explicit Descriptor(long value) : value_(static_cast<int>(value)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) {
      ::close(value_);
    }
  }
  [[nodiscard]] int get() const noexcept { return value_; }

 private:
  int value_;
};

bool allow(int ruleset, const std::filesystem::path& path, std::uint64_t access) {
  const Descriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    return false;
  }
  landlock_path_beneath_attr rule{};
  rule.parent_fd = file.get();
  rule.allowed_access = S_ISDIR(status.st_mode) ? access : access & (read_files | execute);
  return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

}  // namespace

bool confine_this_thread(const Confinement& left) noexcept {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) {
    return false;
  }
  const RulesetAttributes attributes{
      .files = files_of_version_1 | (version >= version_with_truncate ? truncate_files : 0),
      .network = version >= version_with_network ? tcp : 0};
  const std::size_t size =
      version >= version_with_network ? sizeof attributes : sizeof attributes.files;
  const Descriptor ruleset(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  bool ready = ruleset.get() >= 0;
  for (const auto& path : left.readable) {
    ready = ready && allow(ruleset.get(), path, read_trees);
  }
  for (const auto& path : left.writable) {
    ready = ready && allow(ruleset.get(), path, attributes.files & ~execute);
  }
  return ready && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
}

}  // namespace fnimage::source::debian
