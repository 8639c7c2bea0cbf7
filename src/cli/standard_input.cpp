#include "standard_input.hpp"

#include <cerrno>

#include <unistd.h>

#include <fnimage/base/stream.hpp>

namespace fnimage::cli {

namespace {

class StandardInput final : public Reader {
 public:
  Result<std::size_t> read(MutableBytes buffer) override {
    for (;;) {
      const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (count >= 0) {
        return static_cast<std::size_t>(count);
      }
      if (errno != EINTR) {
        return fail(error_from_errno(errno, "read standard input"));
      }
    }
  }
};

}  // namespace

Result<std::string> read_standard_input(std::uint64_t limit) {
  StandardInput input;
  return read_all(input, limit);
}

Result<std::string> read_input(const std::string& file, std::uint64_t limit) {
  return file == "-" ? read_standard_input(limit) : read_file(file, limit);
}

std::string input_name(const std::string& file) {
  return file == "-" ? "standard input" : file;
}

}  // namespace fnimage::cli
