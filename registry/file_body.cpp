// See file_body.hpp.
#include "file_body.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fnimage::registry {

Result<std::unique_ptr<FileBody>> FileBody::open(const HttpRequest& request, std::uint64_t size) {
  const auto file = request.body->file();
  if (!file || !request.url.starts_with("http://")) {
    return nullptr;
  }
  const int fd = ::open(file->c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    return fail(error_from_errno(errno, "open " + file->string()));
  }
  std::unique_ptr<FileBody> body(new FileBody(fd, request.body_offset, size));
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
      static_cast<std::uint64_t>(status.st_size) < request.body_offset + size) {
    return fail(ErrorCode::io, file->string() + " is shorter than the content that it held",
                "something has changed it; build or pull the image again");
  }
  return body;
}

FileBody::~FileBody() {
  ::close(fd_);
}

void FileBody::restart() noexcept {
  sent_ = 0;
  over_ = false;
  window_begin_ = std::chrono::steady_clock::now();
  window_sent_ = 0;
}

CURLcode FileBody::send(curl_socket_t socket) {
  constexpr std::uint64_t part = std::uint64_t{1} << 20;  // others have a turn in between
  auto position = static_cast<off_t>(offset_ + sent_);
  const ssize_t count = ::sendfile(socket, fd_, &position, std::min(part, size_ - sent_));
  if (count > 0) {
    sent_ += static_cast<std::uint64_t>(count);
    over_ = is_whole();
  } else if (count == 0 || errno == EIO || errno == EOVERFLOW) {
    over_ = true;
    return CURLE_READ_ERROR;
  } else if (errno != EAGAIN && errno != EINTR) {
    over_ = true;
  }
  return CURLE_OK;
}

bool FileBody::stalls(std::chrono::seconds window, std::uint32_t min_speed, Time now) {
  const std::uint64_t enough = min_speed * static_cast<std::uint64_t>(window.count());
  if (sent_ - window_sent_ >= enough) {
    window_begin_ = now;
    window_sent_ = sent_;
    return false;
  }
  return now - window_begin_ >= window;
}

}  // namespace fnimage::registry
