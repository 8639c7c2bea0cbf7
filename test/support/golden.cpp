// Golden files, see the header.
#include <algorithm>
#include <cstdlib>
#include <string>

#include <fnimage/base/atomic_file.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/test/golden.hpp>

namespace fnimage::test {

std::filesystem::path data(std::string_view path) {
  return std::filesystem::path(FNIMAGE_TEST_ROOT) / path;
}

::testing::AssertionResult matches_golden(std::string_view actual, std::string_view path) {
  const std::filesystem::path file = data(path);
  const char* accept = std::getenv("FNIMAGE_ACCEPT_GOLDEN");  // NOLINT(concurrency-mt-unsafe)
  if (accept != nullptr && std::string_view(accept) == "1") {
    if (const Result<void> written = write_file_atomically(file, actual, false); !written) {
      return ::testing::AssertionFailure() << written.error().describe();
    }
    return ::testing::AssertionSuccess();
  }
  constexpr std::uint64_t limit = 64ULL * 1024 * 1024;
  const Result<std::string> expected = read_file(file, limit);
  if (!expected) {
    return ::testing::AssertionFailure() << expected.error().describe();
  }
  if (*expected == actual) {
    return ::testing::AssertionSuccess();
  }
  const auto [at, other] =
      std::mismatch(actual.begin(), actual.end(), expected->begin(), expected->end());
  return ::testing::AssertionFailure()
         << file << " differs from byte " << (at - actual.begin()) << " on; actual bytes:\n"
         << actual;
}

}  // namespace fnimage::test
