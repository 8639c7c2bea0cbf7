// Cleaning of paths that come from outside (reliability A14). Thread-safety: pure functions.
#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/layer/entry.hpp>

namespace fnimage::layer {

namespace {

constexpr std::size_t max_path_bytes = 4096;  // PATH_MAX: no Linux can unpack a longer one

}  // namespace

Result<std::string> clean_path(std::string_view path) {
  if (path.size() > max_path_bytes) {
    return fail(ErrorCode::invalid_input,
                fmt::format("path of {} bytes is longer than {}: {}", path.size(), max_path_bytes,
                            printable(path, 80)));
  }
  if (path.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::invalid_input,
                fmt::format("path contains a NUL byte: {}", printable(path)));
  }
  std::string clean;
  clean.reserve(path.size());
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      return fail(ErrorCode::invalid_input,
                  fmt::format("path leaves its directory by \"..\": {}", printable(clean + "/..")));
    }
    if (!clean.empty()) {
      clean += '/';
    }
    clean += part;
  }
  return clean;
}

}  // namespace fnimage::layer
