// posix_spawn of host programs, see process.hpp. Thread-safety: no shared state; the environment is
// read, never changed.
#include "debian/process.hpp"

#include <cerrno>
#include <csignal>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>

namespace fnimage::source::debian {
namespace {

struct FileActions {
  posix_spawn_file_actions_t value{};
  FileActions() { ::posix_spawn_file_actions_init(&value); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { ::posix_spawn_file_actions_destroy(&value); }
};

/// No signal is blocked in the child, whatever this thread blocks.
struct SpawnAttributes {
  posix_spawnattr_t value{};
  SpawnAttributes() {
    sigset_t none{};
    ::sigemptyset(&none);
    ::posix_spawnattr_init(&value);
    ::posix_spawnattr_setsigmask(&value, &none);
    ::posix_spawnattr_setflags(&value, POSIX_SPAWN_SETSIGMASK);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&value); }
};

std::vector<std::string> child_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!text.starts_with("LC_") && !text.starts_with("LANG")) {
      variables.emplace_back(text);
    }
  }
  variables.emplace_back("LC_ALL=C");
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

/// Set from outside, for posix_spawn() cannot: a program's first moments are not limited.
void limit(pid_t child, const ProgramOptions& options) {
  const auto set = [child](auto resource, std::uint64_t value) {
    const ::rlimit limits{value, value};
    if (value != 0) {
      ::prlimit(child, resource, &limits, nullptr);  // fails only when the child is gone already
    }
  };
  set(RLIMIT_AS, options.max_memory);
  set(RLIMIT_CPU, options.max_seconds);
}

Result<int> wait_for(pid_t child, std::string_view name) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail(error_from_errno(errno, fmt::format("wait for {}", name)));
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<ProgramOutput> run_program(std::span<const std::string> command,
                                  const ProgramOptions& options) {
  FNIMAGE_TRY(const auto directory, TemporaryDirectory::create("fnimage-run"));
  const std::string out = (directory.path() / "out").string();
  const std::string err = (directory.path() / "err").string();
  std::vector<std::string> arguments(command.begin(), command.end());
  std::vector<std::string> environment =
      options.environment ? *options.environment : child_environment();
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);

  FileActions actions;
  constexpr int write_new = O_WRONLY | O_CREAT | O_EXCL;
  ::posix_spawn_file_actions_addopen(&actions.value, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions.value, STDOUT_FILENO, out.c_str(), write_new, 0600);
  ::posix_spawn_file_actions_addopen(&actions.value, STDERR_FILENO, err.c_str(), write_new, 0600);
  const SpawnAttributes attributes;
  pid_t child = 0;
  int error = 0;
  const auto spawn = [&] {
    error = ::posix_spawnp(&child, argv[0], &actions.value, &attributes.value, argv.data(),
                           envp.data());
  };
  if (options.confinement) {
    Confinement left = *options.confinement;
    left.readable.emplace_back("/dev/null");
    left.writable.push_back(directory.path());
    // A thread of its own, for the rights that it gives up are not to be had again.
    std::jthread([&] {
      confine_this_thread(left);
      spawn();
    }).join();
  } else {
    spawn();
  }
  if (error != 0) {
    return fail(error_from_errno(error, fmt::format("run {}", command.front())));
  }
  limit(child, options);
  ProgramOutput output;
  FNIMAGE_TRY(output.exit_code, wait_for(child, command.front()));
  FNIMAGE_TRY(output.standard_output, read_file(out, options.max_output));
  FNIMAGE_TRY(output.standard_error, read_file(err, options.max_output));
  return output;
}

}  // namespace fnimage::source::debian
