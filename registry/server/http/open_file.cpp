#include "http/open_file.hpp"

#include <cerrno>
#include <span>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fnimage::server {

Result<std::shared_ptr<const OpenFile>> OpenFile::open(const std::filesystem::path& path) {
  // A FIFO that somebody put there would be waited for without O_NONBLOCK.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    return fail(error_from_errno(errno, "open " + path.string()));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return fail(ErrorCode::invalid_input, path.string() + " is not a regular file");
  }
  return std::shared_ptr<const OpenFile>(
      new OpenFile(descriptor, static_cast<std::uint64_t>(status.st_size)));
}

OpenFile::~OpenFile() {
  ::close(descriptor_);
}

Result<std::size_t> OpenFile::read(std::uint64_t offset, MutableBytes buffer) const {
  while (true) {
    const ssize_t count =
        ::pread(descriptor_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (count >= 0) {
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR) {
      return fail(error_from_errno(errno, "read a stored file"));
    }
  }
}

Result<std::string> OpenFile::read_text(std::uint64_t offset, std::uint64_t size) const {
  std::string text(static_cast<std::size_t>(size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    FNIMAGE_TRY(const std::size_t count,
                read(offset + have, std::as_writable_bytes(std::span(text)).subspan(have)));
    if (count == 0) {
      break;  // somebody is making it shorter
    }
    have += count;
  }
  text.resize(have);
  return text;
}

}  // namespace fnimage::server
