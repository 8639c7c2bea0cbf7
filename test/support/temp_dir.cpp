// Temporary directories of tests. Failures throw: a test without its files has nothing to say.
#include <algorithm>
#include <limits>

#include <fnimage/base/stream.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::test {

TempDir::TempDir() : directory_(unwrap(TemporaryDirectory::create("fnimage-test"))) {}

std::filesystem::path TempDir::write(std::string_view name, std::string_view bytes) const {
  const std::filesystem::path file = path() / name;
  unwrap(write_file_atomically(file, bytes, false));
  return file;
}

std::string TempDir::read(std::string_view name) const {
  return unwrap(read_file(path() / name, std::numeric_limits<std::uint64_t>::max()));
}

std::vector<std::string> TempDir::list() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace fnimage::test
