// See the header. The program gets SIGTERM once, however it is asked to stop, and has a session
// of its own, so that a terminal's ^C does not reach it as well.
#include "process.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>

#include "child.hpp"
#include "descriptor.hpp"
#include "port.hpp"

namespace fnimage::run {
namespace {

using std::chrono::milliseconds;

/// How soon it is seen that the program listens, and without pidfd_open(2) that it ended.
constexpr milliseconds look_again{20};
constexpr std::size_t longest_line = 4096;

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Result<Pipe> make_pipe(int flags) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC | flags) != 0) {
    return fail(error_from_errno(errno, "make a pipe"));
  }
  return Pipe{.read = Descriptor(ends[0]), .write = Descriptor(ends[1])};
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

constexpr const char* about_namespaces =
    "permit user namespaces (sysctl user.max_user_namespaces=15000, "
    "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, whichever "
    "there is), run it as root, or with podman run";

tl::unexpected<Error> no_namespaces(int error) {
  return fail(ErrorCode::unsupported,
              fmt::format("this machine does not permit an image to be started here: {}",
                          std::generic_category().message(error)),
              about_namespaces);
}

tl::unexpected<Error> not_started_error(const Program& program, const ChildReport& report) {
  const std::string first = printable(program.arguments.front());
  const std::string reason = std::generic_category().message(report.error);
  switch (report.step) {
    case ChildStep::map_user:
    case ChildStep::mount:
    case ChildStep::root:
      return no_namespaces(report.error);
    case ChildStep::user:
      return fail(error_from_errno(report.error, "become the image's user"));
    case ChildStep::directory:
      return fail(error_from_errno(
          report.error, fmt::format("enter the directory {}", printable(program.directory))));
    case ChildStep::program:
      break;
  }
  if (report.error == ENOEXEC) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("{} is no program for this machine", first));
  }
  return fail(report.error == ENOENT ? ErrorCode::not_found : ErrorCode::permission_denied,
              fmt::format("{} cannot be started: {}", first, reason),
              program.jail ? "`fnimage check` says what an image lacks" : "");
}

/// The program as start_child() wants it; lives while that runs.
class Preparation {
 public:
  explicit Preparation(const Program& program)
      : candidates_(program.candidates),
        arguments_(program.arguments),
        environment_(program.environment),
        directory_(program.directory),
        candidate_pointers_(pointers_to(candidates_)),
        argument_pointers_(pointers_to(arguments_)),
        environment_pointers_(pointers_to(environment_)) {
    if (program.jail) {
      root_ = program.jail->root.string();
      cell_.root = root_.c_str();
      cell_.uid = program.jail->uid;
      cell_.gid = program.jail->gid;
      if (::geteuid() != 0) {
        uid_map_ = fmt::format("{} {} 1", program.jail->uid, ::geteuid());
        gid_map_ = fmt::format("{} {} 1", program.jail->gid, ::getegid());
        cell_.uid_map = uid_map_.c_str();
        cell_.gid_map = gid_map_.c_str();
      }
      plan_.cell = &cell_;
    }
    plan_.programs = candidate_pointers_.data();
    plan_.arguments = argument_pointers_.data();
    plan_.environment = environment_pointers_.data();
    plan_.directory = directory_.c_str();
  }
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;
  ~Preparation() = default;

  ChildPlan& plan() noexcept { return plan_; }

 private:
  std::vector<std::string> candidates_;
  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  std::string directory_;
  std::string root_;
  std::string uid_map_;
  std::string gid_map_;
  std::vector<char*> candidate_pointers_;
  std::vector<char*> argument_pointers_;
  std::vector<char*> environment_pointers_;
  Cell cell_;
  ChildPlan plan_;
};

/// Passes on what the program writes to standard error, and looks at its lines.
class ErrorOutput {
 public:
  ErrorOutput(const Attendance& attendance, Diagnostics& diagnostics)
      : attendance_(attendance), diagnostics_(diagnostics) {}

  /// What there is now; false at the end.
  bool pass_on(int from) {
    std::array<char, 16384> block{};
    while (true) {
      const ssize_t bytes = ::read(from, block.data(), block.size());
      if (bytes < 0 && errno == EINTR) {
        continue;
      }
      if (bytes <= 0) {
        return bytes < 0 && errno == EAGAIN;
      }
      const std::string_view text(block.data(), static_cast<std::size_t>(bytes));
      write_out(text);
      look_at(text);
    }
  }

 private:
  static void write_out(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
      if (written < 0 && errno != EINTR) {
        return;  // nobody reads it
      }
      text.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
  }

  void look_at(std::string_view text) {
    for (const char c : text) {
      if (c != '\n') {
        if (line_.size() < longest_line) {
          line_ += c;
        }
        continue;
      }
      const std::string advice = attendance_.advice ? attendance_.advice(line_) : std::string();
      line_.clear();
      if (!advice.empty() && given_.insert(advice).second) {
        diagnostics_.report(Severity::warning, advice);
      }
    }
  }

  const Attendance& attendance_;
  Diagnostics& diagnostics_;
  std::string line_;
  std::set<std::string> given_;
};

/// A child that has not been waited for: ended with its group when this goes.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {
#ifdef SYS_pidfd_open
    ended_ = Descriptor(::syscall(SYS_pidfd_open, id, 0));
#endif
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (!code_) {
      kill_all();
      (void)wait(0);
    }
  }

  void terminate() const {
    ::kill(id_, SIGTERM);
  }
  void kill_all() const {
    ::kill(-id_, SIGKILL);
  }
  /// Readable once it has ended; none on old kernels.
  [[nodiscard]] int ended() const noexcept {
    return ended_.get();
  }

  /// The exit code, once it has ended; what it has left running in its group is ended then.
  std::optional<int> wait(int options) {
    siginfo_t info{};
    while (!code_ &&
           ::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOWAIT | options) != 0 &&
           errno == EINTR) {
    }
    if (!code_ && info.si_pid == id_) {
      kill_all();
      int status = 0;
      ::waitpid(id_, &status, 0);
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return code_;
  }

 private:
  pid_t id_;
  Descriptor ended_;
  std::optional<int> code_;
};

/// Makes a poll(2) return when a token is asked to stop.
class Wake {
 public:
  static Result<Wake> make() {
    FNIMAGE_TRY(Pipe pipe, make_pipe(O_NONBLOCK));
    return Wake(std::move(pipe));
  }
  [[nodiscard]] int descriptor() const noexcept { return pipe_.read.get(); }
  void clear() const {
    std::array<char, 16> block{};
    while (::read(pipe_.read.get(), block.data(), block.size()) > 0) {
    }
  }
  void operator()() const {
    const char byte = 0;
    (void)!::write(pipe_.write.get(), &byte, 1);  // full: it is awake already
  }

 private:
  explicit Wake(Pipe pipe) : pipe_(std::move(pipe)) {}
  Pipe pipe_;
};

int attend_to(Child& child, const Descriptor& errors, const Program& program,
              const Attendance& attendance, const Wake& wake, Diagnostics& diagnostics) {
  const std::stop_callback on_stop(attendance.stop, [&wake] { wake(); });
  const std::stop_callback on_kill(attendance.kill, [&wake] { wake(); });
  ErrorOutput output(attendance, diagnostics);
  bool listens = false;
  bool told = false;
  bool open = true;
  while (true) {
    std::array<pollfd, 3> events{
        pollfd{.fd = wake.descriptor(), .events = POLLIN, .revents = 0},
        pollfd{.fd = child.ended(), .events = POLLIN, .revents = 0},
        pollfd{.fd = open ? errors.get() : -1, .events = POLLIN, .revents = 0}};
    const bool waits = listens && child.ended() >= 0;
    ::poll(events.data(), events.size(), waits ? -1 : static_cast<int>(look_again.count()));
    wake.clear();
    open = open && output.pass_on(errors.get());
    if (attendance.kill.stop_requested()) {
      child.kill_all();
    } else if (attendance.stop.stop_requested() && !told) {
      told = true;
      child.terminate();
    }
    if (const std::optional<int> code = child.wait(WNOHANG)) {
      output.pass_on(errors.get());
      if (!listens && *code != 0 && !told) {
        diagnostics.report(Severity::warning, fmt::format("{} ended with exit code {} before it "
                                                          "listened on port {}",
                                                          program.name, *code, attendance.port));
      }
      return *code;
    }
    if (!listens && is_listening(attendance.port)) {
      listens = true;
      diagnostics.report(Severity::info,
                         fmt::format("running {} on http://127.0.0.1:{} (stop with ^C)",
                                     program.name, attendance.port));
    }
  }
}

}  // namespace

Result<int> run_in_foreground(const Program& program, const Attendance& attendance,
                              Diagnostics& diagnostics) {
  FNIMAGE_TRY(const Wake wake, Wake::make());
  FNIMAGE_TRY(Pipe errors, make_pipe(0));
  FNIMAGE_TRY(Pipe report, make_pipe(0));
  const Descriptor input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Preparation preparation(program);
  preparation.plan().input = input.get();
  preparation.plan().error_output = errors.write.get();
  preparation.plan().report = report.write.get();
  const pid_t id = start_child(preparation.plan());
  if (id < 0) {
    const int error = errno;
    return program.jail ? no_namespaces(error) : fail(error_from_errno(error, "start a process"));
  }
  Child child(id);
  errors.write.reset();
  report.write.reset();
  ChildReport failure;
  ssize_t bytes = 0;
  do {
    bytes = ::read(report.read.get(), &failure, sizeof failure);
  } while (bytes < 0 && errno == EINTR);
  if (bytes == sizeof failure) {
    return not_started_error(program, failure);
  }
  ::fcntl(errors.read.get(), F_SETFL, O_NONBLOCK);
  return attend_to(child, errors.read, program, attendance, wake, diagnostics);
}

std::vector<std::string> program_candidates(std::string_view name, std::string_view path) {
  if (name.find('/') != std::string_view::npos) {
    return {std::string(name)};
  }
  std::vector<std::string> candidates;
  for (const std::string_view directory : split(path, ':')) {
    if (directory.starts_with('/')) {
      candidates.push_back(fmt::format("{}/{}", directory, name));
    }
  }
  return candidates;
}

void set_variables(const std::vector<std::string>& variables,
                   std::vector<std::string>& environment) {
  for (const std::string& variable : variables) {
    const std::string_view name = std::string_view(variable).substr(0, variable.find('=') + 1);
    std::erase_if(environment, [&](const std::string& other) { return other.starts_with(name); });
    environment.push_back(variable);
  }
}

}  // namespace fnimage::run
