#include "serve_process.hpp"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fnimage::cli {

namespace {

/// For what cannot be cut, after all else was.
constexpr std::chrono::seconds last_grace{1};
/// What shells show of a process that a signal has killed, with the signal's number.
constexpr int killed = 128;

/// Unless that would have to wait, too.
void warn(std::string_view line) {
  pollfd one{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&one, 1, 0) > 0) {
    (void)!::write(STDERR_FILENO, line.data(), line.size());
  }
}

}  // namespace

void raise_file_limit() {
  constexpr rlim_t enough = rlim_t{1} << 20U;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) {
    return;
  }
  const rlim_t wanted = std::min(files.rlim_max, enough);
  if (files.rlim_cur < wanted) {
    files.rlim_cur = wanted;
    (void)::setrlimit(RLIMIT_NOFILE, &files);  // it runs with fewer, too
  }
}

void tell_service_manager(std::string_view state) {
  const char* name = std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): none sets it
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = name == nullptr ? 0 : std::strlen(name);
  if (length < 2 || length >= sizeof address.sun_path || (*name != '/' && *name != '@')) {
    return;
  }
  std::memcpy(std::data(address.sun_path), name, length);
  if (*name == '@') {  // a name that is in no directory
    address.sun_path[0] = '\0';
  }
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    return;
  }
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what sendto() takes
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  // Who does not read must not hold this process up.
  (void)::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT, to, size);
  ::close(socket);
}

StopLimit::StopLimit(std::stop_token stop, const std::stop_token& at_once,
                     std::chrono::seconds time)
    : stop_(std::move(stop)),
      time_(time),
      on_stop_(stop_,
               [this] {
                 const std::lock_guard lock(mutex_);
                 wakes_.notify_all();
               }),
      on_insistence_(at_once, [] { std::_Exit(killed + SIGTERM); }),
      watcher_([this](const std::stop_token& over) { watch(over); }) {}

void StopLimit::watch(const std::stop_token& over) {
  std::unique_lock lock(mutex_);
  if (!wakes_.wait(lock, over, [this] { return stop_.stop_requested(); })) {
    return;
  }
  wakes_.wait_for(lock, over, time_ + last_grace, [&] { return over.stop_requested(); });
  if (!over.stop_requested()) {
    warn("fnimage: warning: what was in progress did not end in time: it was cut\n");
    std::_Exit(0);
  }
}

}  // namespace fnimage::cli
