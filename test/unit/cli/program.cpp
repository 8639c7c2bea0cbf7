#include "program.hpp"

#include <array>
#include <cstdlib>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fnimage::test {

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Appends what is there; false at the end. A terminal whose other side has gone fails with EIO.
bool drain(int fd, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got <= 0) {
    return false;
  }
  text.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

/// Reads both until both have ended.
void drain_both(int out, std::string& out_text, int err, std::string& err_text) {
  std::array<pollfd, 2> polled{pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    ::poll(polled.data(), polled.size(), -1);
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd >= 0 && polled[i].revents != 0 &&
          !drain(polled[i].fd, i == 0 ? out_text : err_text)) {
        polled[i].fd = -1;  // ignored by poll from now on
      }
    }
  }
}

}  // namespace

void Program::set(const std::string& name, const std::string& value) {
  extra_.push_back(name + "=" + value);
}

std::vector<std::string> Program::environment() const {
  const std::string home = home_.path().string();
  std::vector<std::string> result{"HOME=" + home,
                                  "XDG_DATA_HOME=" + home + "/data",
                                  "XDG_CACHE_HOME=" + home + "/cache",
                                  "DOCKER_CONFIG=" + home + "/docker",
                                  "PATH=/usr/bin:/bin",
                                  "TERM=xterm"};
  result.insert(result.end(), extra_.begin(), extra_.end());
  return result;
}

void Program::become(const std::vector<std::string>& arguments) const {
  std::vector<std::string> argv{FNIMAGE_PROGRAM};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment();
  if (::chdir(directory_.path().c_str()) == 0) {
    ::execve(FNIMAGE_PROGRAM, pointers(argv).data(), pointers(variables).data());
  }
  ::_exit(127);
}

Outcome Program::run(const std::vector<std::string>& arguments) const {
  return run_with_input(arguments, "");
}

Outcome Program::run_with_input(const std::vector<std::string>& arguments,
                                const std::string& input) const {
  const std::filesystem::path input_file = home_.write("input", input);
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("pipe");
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open(input_file.c_str(), O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    become(arguments);
  }
  ::close(out[1]);
  ::close(err[1]);
  Outcome outcome;
  drain_both(out[0], outcome.out, err[0], outcome.err);
  ::close(out[0]);
  ::close(err[0]);
  outcome.exit_code = exit_code_of(child);
  return outcome;
}

Outcome Program::run_dialogue(
    const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& dialogue) const {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child < 0) {
    throw std::runtime_error("forkpty");
  }
  if (child == 0) {
    become(arguments);
  }
  Outcome outcome;
  std::size_t asked = 0;
  while (drain(terminal, outcome.out)) {
    if (asked < dialogue.size() && outcome.out.find(dialogue[asked].first) != std::string::npos) {
      const std::string answer = dialogue[asked++].second + "\r";
      if (::write(terminal, answer.data(), answer.size()) < 0) {
        throw std::runtime_error("write to the terminal");
      }
    }
  }
  ::close(terminal);
  outcome.exit_code = exit_code_of(child);
  return outcome;
}

pid_t Program::start(const std::vector<std::string>& arguments) const {
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    become(arguments);
  }
  return child;
}

int Program::finish(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Outcome Program::run_on_terminal(const std::vector<std::string>& arguments,
                                 unsigned short columns) const {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = 24;
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child < 0) {
    throw std::runtime_error("forkpty");
  }
  if (child == 0) {
    become(arguments);
  }
  Outcome outcome;
  while (drain(terminal, outcome.out)) {
  }
  ::close(terminal);
  outcome.exit_code = exit_code_of(child);
  return outcome;
}

}  // namespace fnimage::test
