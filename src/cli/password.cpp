// See password.hpp. The terminal's own signal keys are off while a line is read, so that no way out
// leaves it without echo.
#include "password.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

namespace fnimage::cli {

namespace {

constexpr std::size_t max_answer = std::size_t{64} * 1024;

/// The controlling terminal, set back as it was at the end.
class Terminal {
 public:
  Terminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {
    usable_ = fd_ >= 0 && ::tcgetattr(fd_, &before_) == 0;
    if (usable_) {
      termios raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
      usable_ = ::tcsetattr(fd_, TCSAFLUSH, &raw) == 0;
    }
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    if (usable_) {
      ::tcsetattr(fd_, TCSAFLUSH, &before_);
    }
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  [[nodiscard]] bool usable() const noexcept { return usable_; }
  void write(std::string_view text) const {
    // What cannot be shown is only the prompt.
    static_cast<void>(!::write(fd_, text.data(), text.size()));
  }
  /// The next byte; '\4' at the end.
  [[nodiscard]] char next() const {
    char byte = '\4';
    while (::read(fd_, &byte, 1) < 0 && errno == EINTR) {
    }
    return byte;
  }

 private:
  int fd_;
  termios before_{};
  bool usable_ = false;
};

}  // namespace

Result<std::string> ask_terminal(std::string_view question, bool echo) {
  const Terminal terminal;
  if (!terminal.usable()) {
    return fail(ErrorCode::invalid_argument, "no terminal to ask on: " + std::string(question),
                "use --username USER --password-stdin < FILE");
  }
  terminal.write(std::string(question) + ": ");
  std::string answer;
  for (;;) {
    const char byte = terminal.next();
    if (byte == '\r' || byte == '\n') {
      terminal.write("\n");
      return answer;
    }
    if (byte == '\3' || byte == '\4' || answer.size() > max_answer) {
      terminal.write("\n");
      return fail(ErrorCode::cancelled, "nothing was answered");
    }
    if (byte == '\x7f' || byte == '\b') {
      if (!answer.empty()) {
        answer.pop_back();
        terminal.write(echo ? "\b \b" : "");
      }
      continue;
    }
    answer += byte;
    if (echo && static_cast<unsigned char>(byte) >= ' ') {
      terminal.write({&byte, 1});
    }
  }
}

Result<std::string> secret_from_input(std::string_view what) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return fail(
          error_from_errno(errno, "read the " + std::string(what) + " from standard input"));
    }
    if (count == 0 || text.size() > max_answer) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
    text.pop_back();
  }
  if (text.empty() || text.size() > max_answer) {
    return fail(ErrorCode::invalid_argument, "no " + std::string(what) + " on standard input",
                "fnimage login REGISTRY --username USER --password-stdin < FILE");
  }
  return text;
}

}  // namespace fnimage::cli
