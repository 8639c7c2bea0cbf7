// See the header. What is mounted over was made for it in the tree (image.cpp), so that no link of
// the image's is followed before its root is the only one.
#include "child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fnimage::run {
namespace {

constexpr int not_started = 127;

/// fork() without what the C library does around it, which might wait for a thread that is not
/// there in the child.
pid_t clone_process(unsigned long namespaces) noexcept {
#ifdef __s390x__
  return static_cast<pid_t>(::syscall(SYS_clone, 0, namespaces | SIGCHLD, 0, 0, 0));
#else
  return static_cast<pid_t>(::syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0));
#endif
}

[[noreturn]] void give_up(const ChildPlan& plan, ChildStep step) noexcept {
  const ChildReport report{.step = step, .error = errno};
  const ssize_t written = ::write(plan.report, &report, sizeof report);
  ::_exit(written < 0 ? not_started + 1 : not_started);
}

void require(bool done, const ChildPlan& plan, ChildStep step) noexcept {
  if (!done) {
    give_up(plan, step);
  }
}

bool write_text(const char* path, const char* text) noexcept {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    return false;
  }
  const std::size_t size = std::strlen(text);
  const bool done = ::write(file, text, size) == static_cast<ssize_t>(size);
  const int error = errno;
  ::close(file);
  errno = error;
  return done;
}

bool map_user(const Cell& cell) noexcept {
  return write_text("/proc/self/setgroups", "deny") &&
         write_text("/proc/self/uid_map", cell.uid_map) &&
         write_text("/proc/self/gid_map", cell.gid_map);
}

bool bind(const char* from, const char* to) noexcept {
  return ::mount(from, to, nullptr, MS_BIND | MS_REC, nullptr) == 0;
}

bool mount_devices() noexcept {
  return bind("/dev/null", "dev/null") && bind("/dev/zero", "dev/zero") &&
         bind("/dev/full", "dev/full") && bind("/dev/random", "dev/random") &&
         bind("/dev/urandom", "dev/urandom");
}

/// For real root /proc is read-only: it could set up the kernel there. Where a container hides
/// parts of its own, no new one can be had, and that one has to do.
bool mount_proc(bool is_root) noexcept {
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (is_root ? MS_RDONLY : 0);
  return ::mount("proc", "proc", "proc", flags, nullptr) == 0 ||
         (!is_root && bind("/proc", "proc"));
}

bool mount_memory(const char* at) noexcept {
  return ::mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
}

/// In a user namespace flags that a mount has already must stay.
bool make_read_only() noexcept {
  struct statvfs status {};
  unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (::statvfs(".", &status) == 0) {
    flags |= (status.f_flag & ST_NOEXEC) != 0 ? MS_NOEXEC : 0;
    flags |= (status.f_flag & ST_NOATIME) != 0 ? MS_NOATIME : 0;
    flags |= (status.f_flag & ST_NODIRATIME) != 0 ? MS_NODIRATIME : 0;
    flags |= (status.f_flag & ST_RELATIME) != 0 ? MS_RELATIME : 0;
  }
  return ::mount(nullptr, ".", nullptr, flags, nullptr) == 0;
}

/// The tree becomes the root; the old one is not to be had any more.
void change_root(const ChildPlan& plan, const Cell& cell) noexcept {
  const bool is_root = cell.uid_map == nullptr;
  require(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              bind(cell.root, cell.root) && ::chdir(cell.root) == 0 && mount_devices() &&
              mount_proc(is_root) && mount_memory("tmp") && mount_memory("dev/shm") &&
              make_read_only(),
          plan, ChildStep::mount);
  require(::syscall(SYS_pivot_root, ".", ".") == 0 && ::umount2(".", MNT_DETACH) == 0 &&
              ::chdir("/") == 0,
          plan, ChildStep::root);
}

/// No program gets more rights than its user has, not even root's.
bool give_up_rights(const Cell& cell) noexcept {
  constexpr int highest = 63;
  for (int capability = 0; capability <= highest; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) {
      return false;
    }
  }
  if (cell.uid_map == nullptr && (::syscall(SYS_setgroups, 0, nullptr) != 0 ||
                                  ::syscall(SYS_setresgid, cell.gid, cell.gid, cell.gid) != 0 ||
                                  ::syscall(SYS_setresuid, cell.uid, cell.uid, cell.uid) != 0)) {
    return false;
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, 2> none{};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_capset, &header, none.data()) == 0;
}

/// Whatever this process was started with, or has forgotten to mark: a directory among it would be
/// a way out.
void close_on_exec() noexcept {
  constexpr int first = STDERR_FILENO + 1;
  constexpr int many = 65536;
  if (::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    for (int file = first; file < many; ++file) {
      ::fcntl(file, F_SETFD, FD_CLOEXEC);
    }
  }
}

[[noreturn]] void start_program(const ChildPlan& plan) noexcept {
  sigset_t none{};
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  close_on_exec();
  require(::chdir(plan.directory) == 0, plan, ChildStep::directory);
  int error = ENOENT;
  for (const char* const* program = plan.programs; *program != nullptr; ++program) {
    ::execve(*program, plan.arguments, plan.environment);
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
      give_up(plan, ChildStep::program);
    }
    error = errno == EACCES ? EACCES : error;
  }
  errno = error;
  give_up(plan, ChildStep::program);
}

/// The first process of a pid namespace: a signal that it has no handler for does not end it, and
/// what lost its parent becomes its child.
[[noreturn]] void attend(pid_t program, int report) noexcept {
  ::close(report);
  ::close(STDERR_FILENO);
  ::syscall(SYS_close_range, STDIN_FILENO, ~0U, 0);  // not on old kernels, where the rest stays
  sigset_t signals{};
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGCHLD);
  while (true) {
    if (::sigwaitinfo(&signals, nullptr) == SIGTERM) {
      ::kill(program, SIGTERM);
    }
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == program) {
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
      }
    }
  }
}

[[noreturn]] void run_in_cell(const ChildPlan& plan, const Cell& cell) noexcept {
  sigset_t all{};
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  require(cell.uid_map == nullptr || map_user(cell), plan, ChildStep::map_user);
  change_root(plan, cell);
  const pid_t program = clone_process(0);
  require(program >= 0, plan, ChildStep::user);
  if (program > 0) {
    attend(program, plan.report);
  }
  require(give_up_rights(cell), plan, ChildStep::user);
  start_program(plan);
}

}  // namespace

pid_t start_child(const ChildPlan& plan) noexcept {
  unsigned long namespaces = 0;
  if (plan.cell != nullptr) {
    namespaces = CLONE_NEWNS | CLONE_NEWPID | (plan.cell->uid_map != nullptr ? CLONE_NEWUSER : 0);
  }
  const pid_t child = clone_process(namespaces);
  if (child != 0) {
    return child;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::setsid();  // without the terminal, into which an image could type otherwise
  ::dup2(plan.input, STDIN_FILENO);
  ::dup2(plan.error_output, STDERR_FILENO);
  if (plan.cell != nullptr) {
    run_in_cell(plan, *plan.cell);
  }
  start_program(plan);
}

}  // namespace fnimage::run
