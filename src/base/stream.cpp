// Streams over files and memory.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/stream.hpp>

#include "unique_fd.hpp"

namespace fnimage {

namespace {

constexpr std::size_t chunk_size = std::size_t{128} * 1024;

class FileReader final : public Reader {
 public:
  /// @param expected bytes that must come before the end of the file; nullopt = to its end.
  FileReader(detail::UniqueFd fd, std::filesystem::path path, std::optional<std::uint64_t> expected)
      : fd_(std::move(fd)), path_(std::move(path)), left_(expected) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    if (left_) {
      buffer =
          buffer.first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), *left_)));
    }
    if (buffer.empty()) {
      return 0;
    }
    ssize_t got = 0;
    do {
      got = ::read(fd_.get(), buffer.data(), buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      return fail(error_from_errno(errno, "read " + path_.string()));
    }
    const auto count = static_cast<std::size_t>(got);
    if (left_) {
      if (count == 0) {
        return fail(ErrorCode::io, fmt::format("{} ended {} bytes early", path_.string(), *left_),
                    "the file was changed while it was read; run the command again");
      }
      *left_ -= count;
    }
    return count;
  }

 private:
  detail::UniqueFd fd_;
  std::filesystem::path path_;
  std::optional<std::uint64_t> left_;
};

class MemoryReader final : public Reader {
 public:
  MemoryReader(std::shared_ptr<const std::string> bytes, std::uint64_t offset)
      : bytes_(std::move(bytes)),
        position_(static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes_->size()))) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    const std::size_t count = std::min(buffer.size(), bytes_->size() - position_);
    if (count > 0) {
      std::memcpy(buffer.data(), bytes_->data() + position_, count);
      position_ += count;
    }
    return count;
  }

 private:
  std::shared_ptr<const std::string> bytes_;
  std::size_t position_;
};

class MemoryContent final : public Content {
 public:
  MemoryContent(std::string bytes, std::string id)
      : bytes_(std::make_shared<const std::string>(std::move(bytes))), id_(std::move(id)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_->size(); }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    if (offset > bytes_->size()) {
      return fail(ErrorCode::invalid_argument, "offset is beyond the end of the content");
    }
    return std::make_unique<MemoryReader>(bytes_, offset);
  }
  [[nodiscard]] std::string id() const override { return id_; }

 private:
  std::shared_ptr<const std::string> bytes_;
  std::string id_;
};

Result<std::unique_ptr<Reader>> open_range(const std::filesystem::path& path, std::uint64_t offset,
                                           std::optional<std::uint64_t> size) {
  detail::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail(error_from_errno(errno, "open " + path.string()));
  }
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return fail(ErrorCode::invalid_argument, "offset is too large for " + path.string());
  }
  // Offset 0 is left alone so that pipes can be read too.
  if (offset > 0 && ::lseek(fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
    return fail(error_from_errno(errno, "seek in " + path.string()));
  }
  return std::make_unique<FileReader>(std::move(fd), path, size);
}

class FileContent final : public Content {
 public:
  FileContent(std::filesystem::path path, std::uint64_t offset, std::uint64_t size, bool whole)
      : path_(std::move(path)), offset_(offset), size_(size), whole_(whole) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    if (offset > size_) {
      return fail(ErrorCode::invalid_argument, "offset is beyond the end of " + path_.string());
    }
    return open_range(path_, offset_ + offset, size_ - offset);
  }
  [[nodiscard]] std::optional<std::filesystem::path> file() const override {
    return whole_ ? std::optional(path_) : std::nullopt;
  }

 private:
  std::filesystem::path path_;
  std::uint64_t offset_;
  std::uint64_t size_;
  bool whole_;
};

}  // namespace

ContentPtr memory_content(std::string bytes, std::string id) {
  return std::make_shared<MemoryContent>(std::move(bytes), std::move(id));
}

Result<ContentPtr> file_content(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return fail(error_from_errno(errno, "read " + path.string()));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid_input, path.string() + " is not a regular file");
  }
  return std::make_shared<FileContent>(path, 0, static_cast<std::uint64_t>(status.st_size), true);
}

ContentPtr file_slice(std::filesystem::path path, std::uint64_t offset, std::uint64_t size) {
  return std::make_shared<FileContent>(std::move(path), offset, size, false);
}

Result<std::unique_ptr<Reader>> open_file(const std::filesystem::path& path, std::uint64_t offset) {
  return open_range(path, offset, std::nullopt);
}

std::unique_ptr<Reader> memory_reader(std::string bytes) {
  return std::make_unique<MemoryReader>(std::make_shared<const std::string>(std::move(bytes)), 0);
}

Result<std::size_t> read_full(Reader& reader, MutableBytes buffer) {
  std::size_t have = 0;
  while (have < buffer.size()) {
    FNIMAGE_TRY(const std::size_t got, reader.read(buffer.subspan(have)));
    if (got == 0) {
      break;
    }
    have += got;
  }
  return have;
}

Result<std::string> read_all(Reader& reader, std::uint64_t limit) {
  std::string text;
  std::size_t used = 0;
  while (true) {
    if (text.size() - used < chunk_size / 8) {
      text.resize(std::max(chunk_size / 8, text.size() * 2));
    }
    const auto free = std::as_writable_bytes(std::span(text.data() + used, text.size() - used));
    FNIMAGE_TRY(const std::size_t got, reader.read(free));
    if (got == 0) {
      break;
    }
    used += got;
    if (used > limit) {
      return fail(ErrorCode::invalid_input, fmt::format("more than {} of data", human_size(limit)));
    }
  }
  text.resize(used);
  return text;
}

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t limit) {
  FNIMAGE_TRY(const std::unique_ptr<Reader> reader, open_file(path));
  Result<std::string> text = read_all(*reader, limit);
  if (!text && text.error().code() == ErrorCode::invalid_input) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} is larger than {}", path.string(), human_size(limit)));
  }
  return text;
}

Result<std::uint64_t> copy(Reader& from, Writer& to) {
  std::vector<std::byte> buffer(chunk_size);
  std::uint64_t total = 0;
  while (true) {
    FNIMAGE_TRY(const std::size_t got, from.read(buffer));
    if (got == 0) {
      return total;
    }
    FNIMAGE_CHECK(to.write(Bytes(buffer).first(got)));
    total += got;
  }
}

Result<void> StringWriter::write(Bytes bytes) {
  target_.append(as_text(bytes));
  return {};
}

}  // namespace fnimage
