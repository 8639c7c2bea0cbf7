#include "console.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>

#include "json_text.hpp"

namespace fnimage::cli {

namespace {

constexpr std::chrono::milliseconds frame{100};
constexpr std::size_t bar_columns = 20;
constexpr std::size_t most_message_bytes = 8192;

std::string_view environment(const char* name) noexcept {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value == nullptr ? std::string_view() : value;
}

struct Screen {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

Screen screen_size() noexcept {
  winsize size{};
  Screen screen;
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) {
    screen.columns = size.ws_col > 0 ? size.ws_col : screen.columns;
    screen.rows = size.ws_row > 0 ? size.ws_row : screen.rows;
  }
  return screen;
}

/// The first `columns` code points.
std::string_view cut(std::string_view text, std::size_t columns) noexcept {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80U;
    if (begins && seen++ == columns) {
      return text.substr(0, i);
    }
  }
  return text;
}

std::size_t columns_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

/// Printable line by line, keeping the line ends.
std::string harmless(std::string_view text) {
  std::string result;
  for (const std::string_view line : split(text, '\n')) {
    result += result.empty() ? "" : "\n";
    result += printable(line, most_message_bytes);
  }
  return result;
}

void write_error(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

/// A task that leaves the screen when it is finished or dropped.
class Console::Handle final : public ProgressTask {
 public:
  Handle(Console& console, std::shared_ptr<Task> task)
      : console_(console), task_(std::move(task)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() override {
    if (task_) {
      console_.finish(task_, {});
    }
  }

  void update(std::uint64_t done) noexcept override {
    if (task_) {
      task_->done.store(done, std::memory_order_relaxed);
    }
  }
  void finish(std::string_view outcome) noexcept override {
    if (task_) {
      console_.finish(task_, outcome);
      task_.reset();
    }
  }

 private:
  Console& console_;
  std::shared_ptr<Task> task_;
};

Console::Console(const ConsoleOptions& options) : options_(options) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1 && environment("TERM") != "dumb";
  bars_ = options_.progress == ProgressMode::tty ||
          (options_.progress == ProgressMode::automatic && terminal);
  color_ = terminal && environment("NO_COLOR").empty();
}

Console::~Console() {
  if (renderer_.joinable()) {
    renderer_.request_stop();
    wake_.notify_all();
    renderer_.join();
  }
  const std::lock_guard lock(mutex_);
  erase_bars();
}

void Console::report(Severity severity, std::string_view message) noexcept {
  if ((severity == Severity::debug && !options_.debug) ||
      (severity == Severity::info && options_.quiet)) {
    return;
  }
  const std::lock_guard lock(mutex_);
  write_line(severity == Severity::warning ? fmt::format("fnimage: warning: {}", harmless(message))
                                           : harmless(message));
}

std::unique_ptr<ProgressTask> Console::begin(std::string_view label, std::uint64_t total) noexcept {
  auto task = std::make_shared<Task>();
  task->label = printable(label, 200);
  task->total = total;
  if (bars_) {
    const std::lock_guard lock(mutex_);
    active_.push_back(task);
    if (!renderer_.joinable()) {
      renderer_ = std::jthread([this](const std::stop_token& stop) { render(stop); });
    }
    wake_.notify_all();
  }
  return std::make_unique<Handle>(*this, std::move(task));
}

void Console::finish(const std::shared_ptr<Task>& task, std::string_view outcome) {
  const std::lock_guard lock(mutex_);
  std::erase(active_, task);
  if (!bars_ && options_.progress != ProgressMode::none && !outcome.empty()) {
    write_line(fmt::format("{}: {}", task->label, printable(outcome, 200)));
  }
}

void Console::print(std::string_view text) {
  const std::lock_guard lock(mutex_);
  erase_bars();
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Console::print_foreign(std::string_view text) {
  if (::isatty(STDOUT_FILENO) == 1) {
    print(harmless(text));
  } else {
    print(text);
  }
}

void Console::print_error(const Error& error) {
  const std::string message = error.describe();
  if (options_.json && !result_says_error_) {
    const nlohmann::ordered_json value = {
        {"error",
         {{"code", to_string(error.code())}, {"message", message}, {"hint", error.hint()}}}};
    print(json_lines(value));
  }
  const std::lock_guard lock(mutex_);
  const std::string_view word = color_ ? "\x1b[1;31merror:\x1b[0m" : "error:";
  std::string text = fmt::format("fnimage: {} {}", word, harmless(message));
  if (!error.hint().empty()) {
    text += fmt::format("\n  hint: {}", harmless(error.hint()));
  }
  write_line(text);
}

Result<void> Console::close() {
  {
    const std::lock_guard lock(mutex_);
    active_.clear();
    erase_bars();
  }
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return fail(error_from_errno(errno == 0 ? EIO : errno, "write to standard output"));
  }
  return {};
}

void Console::write_line(std::string_view text) {
  erase_bars();
  write_error(fmt::format("{}\n", text));
}

void Console::erase_bars() {
  if (drawn_ > 0) {
    // Up over the bars, then clear to the end of the screen.
    write_error(fmt::format("\x1b[{}A\r\x1b[J", drawn_));
    drawn_ = 0;
  }
}

std::string Console::bar(const Task& task, std::size_t width) const {
  // One column stays free: a full line would wrap on some terminals.
  const std::size_t rest = bar_columns + 8;
  const std::size_t room = width > rest + 10 ? width - rest - 1 : (width > 1 ? width - 1 : 1);
  const std::string_view label = cut(task.label, room);
  if (width <= rest + 10 || task.total == 0) {
    return std::string(label);
  }
  const std::uint64_t done = std::min(task.done.load(std::memory_order_relaxed), task.total);
  const double part = static_cast<double>(done) / static_cast<double>(task.total);
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(bar_columns));
  const std::string padding(room - columns_of(label), ' ');
  return fmt::format("{}{} [{}{}{}{}] {:3}%", label, padding, color_ ? "\x1b[32m" : "",
                     std::string(filled, '='), color_ ? "\x1b[0m" : "",
                     std::string(bar_columns - filled, ' '), static_cast<int>(part * 100));
}

void Console::draw_bars() {
  const Screen screen = screen_size();
  const std::size_t most = std::clamp<std::size_t>(screen.rows / 3, 1, 8);
  const std::size_t shown = std::min(active_.size(), most);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    text += bar(*active_[i], screen.columns) + '\n';
  }
  std::size_t lines = shown;
  if (active_.size() > shown) {
    text += fmt::format("… and {} more\n", active_.size() - shown);
    ++lines;
  }
  erase_bars();
  write_error(text);
  drawn_ = lines;
}

void Console::render(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (active_.empty()) {
      erase_bars();
      wake_.wait(lock, stop, [this] { return !active_.empty(); });
    } else {
      draw_bars();
      wake_.wait_for(lock, stop, frame, [] { return false; });
    }
  }
}

}  // namespace fnimage::cli
