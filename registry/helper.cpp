// See helper.hpp. The question waits in a file in memory, so that a helper that does not read
// cannot block or kill the asker; the answers come by pipes.
#include "helper.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::registry {

namespace {

using SteadyClock = std::chrono::steady_clock;

class HelperFd {
 public:
  explicit HelperFd(int fd = -1) : fd_(fd) {}
  HelperFd(const HelperFd&) = delete;
  HelperFd& operator=(const HelperFd&) = delete;
  ~HelperFd() { close(); }
  [[nodiscard]] int get() const { return fd_; }
  void set(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    fd_ = -1;
  }

 private:
  int fd_;
};

struct HelperPipe {
  HelperFd read;
  HelperFd write;
  bool open() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      return false;
    }
    read.set(ends[0]);
    write.set(ends[1]);
    return true;
  }
};

/// A child that does not outlive its owner.
class HelperProcess {
 public:
  HelperProcess() = default;
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;
  ~HelperProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
  }
  int start(std::vector<std::string> command, int in, int out, int err) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (std::string& word : command) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    const int error =
        ::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      pid_ = -1;
    }
    return error;
  }
  /// Its exit code once it has ended, 128 + signal when it was killed.
  std::optional<int> ended() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) {
      return std::nullopt;
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

struct HelperAnswer {
  int exit_code = 0;
  std::string out{};
  std::string err{};
};

/// Takes what is there without waiting. False: at the end.
bool drain(HelperFd& from, std::string& to) {
  std::array<char, 4096> buffer{};
  const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
  if (count > 0) {
    to.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
  }
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
    return true;
  }
  from.close();
  return false;
}

/// Waits up to 20 ms for output and takes it. False: nothing came.
bool collect_output(HelperPipe& out, HelperPipe& err, HelperAnswer& answer) {
  std::array<pollfd, 2> ends{{{.fd = out.read.get(), .events = POLLIN, .revents = 0},
                              {.fd = err.read.get(), .events = POLLIN, .revents = 0}}};
  constexpr int wait = 20;
  if (::poll(ends.data(), ends.size(), wait) <= 0) {
    return false;
  }
  if (ends[0].revents != 0) {
    drain(out.read, answer.out);
  }
  if (ends[1].revents != 0) {
    drain(err.read, answer.err);
  }
  return true;
}

bool is_helper_name(std::string_view name) {
  constexpr std::size_t max_length = 64;
  return !name.empty() && name.size() <= max_length && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

Error helper_error(const std::string& program, const std::string& why) {
  return Error(ErrorCode::unavailable, program + " " + why)
      .with_hint("try `" + program + " list`, or keep the credentials elsewhere: fnimage login");
}

Result<HelperAnswer> attend(HelperProcess& child, HelperPipe& out, HelperPipe& err,
                            const std::string& program, const HelperLimits& limits) {
  const auto deadline = SteadyClock::now() + limits.time;
  HelperAnswer answer;
  for (;;) {
    // In this order: what it wrote before its end is then certainly in the pipes.
    const std::optional<int> code = child.ended();
    while (collect_output(out, err, answer)) {
      if (answer.out.size() > limits.output || answer.err.size() > limits.output) {
        return fail(helper_error(program, "says too much"));
      }
      if (out.read.get() < 0 && err.read.get() < 0) {
        break;
      }
      if (SteadyClock::now() > deadline) {
        break;
      }
    }
    if (code) {
      answer.exit_code = *code;
      return answer;
    }
    if (SteadyClock::now() > deadline) {
      return fail(helper_error(program, "does not answer"));
    }
  }
}

Result<HelperAnswer> ask(const std::string& name, const std::string& action,
                         std::string_view question, const HelperLimits& limits) {
  if (!is_helper_name(name)) {
    return fail(ErrorCode::invalid_input,
                "\"" + printable(name) + "\" is no name of a credential helper",
                "credsStore and credHelpers hold the part after docker-credential-");
  }
  const std::string program = "docker-credential-" + name;
  HelperFd input(::memfd_create("question", MFD_CLOEXEC));
  HelperPipe out;
  HelperPipe err;
  if (input.get() < 0 || !out.open() || !err.open() ||
      ::write(input.get(), question.data(), question.size()) !=
          static_cast<ssize_t>(question.size()) ||
      ::lseek(input.get(), 0, SEEK_SET) != 0) {
    return fail(error_from_errno(errno, "prepare to run " + program));
  }
  HelperProcess child;
  if (const int error =
          child.start({program, action}, input.get(), out.write.get(), err.write.get());
      error != 0) {
    return fail(Error(error_from_errno(error, "run " + program).code(),
                      program + ", which keeps the credentials, cannot be run")
                    .with_hint("install it, or take it out of credsStore and credHelpers"));
  }
  out.write.close();
  err.write.close();
  return attend(child, out, err, program, limits);
}

/// Helpers say by words, on standard output, that they have nothing.
bool means_nothing_there(const HelperAnswer& answer) {
  return answer.exit_code != 0 && (answer.out.find("credentials not found") != std::string::npos ||
                                   answer.err.find("credentials not found") != std::string::npos);
}

Error refusal(const std::string& name, const HelperAnswer& answer) {
  constexpr std::size_t max_shown = 300;
  const std::string_view said = trim(answer.err).empty() ? trim(answer.out) : trim(answer.err);
  return helper_error(
      "docker-credential-" + name,
      "failed (exit code " + std::to_string(answer.exit_code) + "): " + printable(said, max_shown));
}

}  // namespace

Result<std::optional<Credentials>> helper_get(const std::string& name, std::string_view server,
                                              const HelperLimits& limits) {
  FNIMAGE_TRY(const HelperAnswer answer, ask(name, "get", server, limits));
  if (means_nothing_there(answer)) {
    return std::nullopt;
  }
  if (answer.exit_code != 0) {
    return fail(refusal(name, answer));
  }
  const std::string what = "answer of docker-credential-" + name;
  FNIMAGE_TRY(const nlohmann::json json, parse_json(answer.out, what));
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(json, what));
  FNIMAGE_TRY(std::string username, object.string_or("Username", ""));
  FNIMAGE_TRY(std::string secret, object.string_or("Secret", ""));
  if (username.empty() && secret.empty()) {
    return std::nullopt;
  }
  if (username == "<token>") {
    return Credentials{.identity_token = std::move(secret)};
  }
  return Credentials{.username = std::move(username), .password = std::move(secret)};
}

Result<void> helper_store(const std::string& name, std::string_view server,
                          const Credentials& credentials, const HelperLimits& limits) {
  const bool token = !credentials.identity_token.empty();
  const std::string question =
      to_json_text({{"ServerURL", server},
                    {"Username", token ? "<token>" : credentials.username},
                    {"Secret", token ? credentials.identity_token : credentials.password}});
  FNIMAGE_TRY(const HelperAnswer answer, ask(name, "store", question, limits));
  if (answer.exit_code != 0) {
    return fail(refusal(name, answer));
  }
  return {};
}

Result<bool> helper_erase(const std::string& name, std::string_view server,
                          const HelperLimits& limits) {
  FNIMAGE_TRY(const HelperAnswer answer, ask(name, "erase", server, limits));
  if (means_nothing_there(answer)) {
    return false;
  }
  if (answer.exit_code != 0) {
    return fail(refusal(name, answer));
  }
  return true;
}

Result<std::vector<std::string>> helper_list(const std::string& name, const HelperLimits& limits) {
  FNIMAGE_TRY(const HelperAnswer answer, ask(name, "list", "", limits));
  if (answer.exit_code != 0) {
    return fail(refusal(name, answer));
  }
  FNIMAGE_TRY(const nlohmann::json json,
              parse_json(answer.out, "answer of docker-credential-" + name));
  std::vector<std::string> servers;
  if (json.is_object()) {
    for (const auto& [server, user] : json.items()) {
      servers.push_back(server);
    }
  }
  return servers;
}

}  // namespace fnimage::registry
