// A17, measured: a layer that is four times as long takes about four times as long to be read and
// to be laid over another. What is compared is this thread's processor time, the best of three,
// of two lengths with each other: that says nothing of the machine, and little of what else it
// does.
#include <algorithm>
#include <ctime>
#include <functional>
#include <iostream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/check/image_files.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/test/raw_tar.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/sanitized.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::check {
namespace {

struct Shape {
  std::string name;
  std::function<std::vector<test::RawTarEntry>(std::size_t)> of_length;

  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    return out << shape.name;
  }
};

std::vector<test::RawTarEntry> hard_links(std::size_t count) {
  std::vector<test::RawTarEntry> entries{test::raw_file("file", "x")};
  for (std::size_t i = 1; i < count; ++i) {
    entries.push_back(test::raw_hardlink(fmt::format("link{}", i), "file"));
  }
  return entries;
}

std::vector<test::RawTarEntry> opaque_whiteouts(std::size_t count) {
  std::vector<test::RawTarEntry> entries;
  for (std::size_t i = 0; i < count / 2; ++i) {
    entries.push_back(test::raw_directory("d/" + std::to_string(i)));
    entries.push_back(test::raw_file(fmt::format("d/{}/.wh..wh..opq", i), ""));
  }
  return entries;
}

/// The whole image goes again and again.
std::vector<test::RawTarEntry> opaque_top(std::size_t count) {
  std::vector<test::RawTarEntry> entries;
  for (std::size_t i = 0; i < count / 2; ++i) {
    entries.push_back(test::raw_file("d/" + std::to_string(i), ""));
    entries.push_back(test::raw_file("d/.wh..wh..opq", ""));
  }
  return entries;
}

std::vector<test::RawTarEntry> deep_directories(std::size_t count) {
  constexpr std::size_t depth = 40;
  std::vector<test::RawTarEntry> entries;
  for (std::size_t i = 0; entries.size() < count; ++i) {
    std::string path = std::to_string(i);
    for (std::size_t level = 0; level < depth && entries.size() < count; ++level) {
      entries.push_back(test::raw_directory(path));
      path += "/d";
    }
  }
  return entries;
}

/// Paths that go through links of links.
std::vector<test::RawTarEntry> links_on_the_way(std::size_t count) {
  constexpr std::size_t hops = 30;
  std::vector<test::RawTarEntry> entries{test::raw_directory("l0")};
  for (std::size_t i = 1; i < hops; ++i) {
    entries.push_back(test::raw_symlink(fmt::format("l{}", i), fmt::format("l{}", i - 1)));
  }
  while (entries.size() < count) {
    entries.push_back(test::raw_file(fmt::format("l{}/{}", hops - 1, entries.size()), ""));
  }
  return entries;
}

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds_for(const Shape& shape, std::size_t count) {
  const std::string tar = test::raw_tar(shape.of_length(count));
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    const test::TempDir temp;
    const double begin = processor_seconds();
    const auto listing = test::unwrap(
        layer::unpack_tar([&] { return Result<std::unique_ptr<Reader>>(memory_reader(tar)); }, "id",
                          temp.path(), "layer"));
    ImageFiles files;
    files.add_layer("lower", listing.entries);
    files.add_layer("upper", listing.entries);
    best = std::min(best, processor_seconds() - begin);
  }
  return best;
}

class Growth : public ::testing::TestWithParam<Shape> {};

TEST_P(Growth, IsThatOfTheLayer) {
  if (test::sanitized) {
    GTEST_SKIP() << "a sanitizer's own work would be measured";
  }
  constexpr std::size_t count = 4'000;
  const double once = seconds_for(GetParam(), count);
  const double twice = seconds_for(GetParam(), 2 * count);
  const double four_times = seconds_for(GetParam(), 4 * count);
  const std::string said = fmt::format("{}: {:.4f} s, twice {:.2f}, four times {:.2f}",
                                       GetParam().name, once, twice / once, four_times / once);
  std::cout << said << '\n';
  EXPECT_LT(four_times / once, 9) << said;  // quadratic: 16
}

INSTANTIATE_TEST_SUITE_P(Layers, Growth,
                         ::testing::Values(Shape{"HardLinks", hard_links},
                                           Shape{"OpaqueWhiteouts", opaque_whiteouts},
                                           Shape{"OpaqueTop", opaque_top},
                                           Shape{"DeepDirectories", deep_directories},
                                           Shape{"LinksOnTheWay", links_on_the_way}),
                         [](const auto& shape) { return shape.param.name; });

}  // namespace
}  // namespace fnimage::check
