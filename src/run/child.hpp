// What happens between clone(2) and execve(2), in a process that was made from one with threads:
// only system calls, and only what was prepared before. Source: user_namespaces(7),
// pid_namespaces(7), pivot_root(2), signal-safety(7). Thread-safety: start_child() from any thread,
// which has to live as long as the child does.
#pragma once

#include <cstdint>

#include <sys/types.h>

namespace fnimage::run {

/// Namespaces of its own, with `root` as everything that there is.
struct Cell {
  const char* root = nullptr;     ///< absolute
  const char* uid_map = nullptr;  ///< for /proc/self/uid_map; null: as root, without user namespace
  const char* gid_map = nullptr;
  uid_t uid = 0;  ///< inside
  gid_t gid = 0;
};

struct ChildPlan {
  const char* const* programs = nullptr;  ///< the first that there is is started
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  const char* directory = nullptr;
  const Cell* cell = nullptr;  ///< null: a plain process
  int input = -1;              ///< becomes standard input
  int error_output = -1;       ///< becomes standard error
  int report = -1;             ///< gets a ChildReport unless the program was started; close-on-exec
};

enum class ChildStep : std::uint8_t { map_user, mount, root, user, directory, program };

struct ChildReport {
  ChildStep step = ChildStep::program;
  int error = 0;  ///< an errno
};

/// The child leads a session of its own, and dies with this thread. In a cell it is the first
/// process, which waits for the program, passes SIGTERM on to it and ends as it does; all that runs
/// there ends with it. Returns its process id, or -1 with errno.
pid_t start_child(const ChildPlan& plan) noexcept;

}  // namespace fnimage::run
