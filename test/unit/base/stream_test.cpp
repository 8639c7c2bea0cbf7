// Streams: offsets, limits, and files that change while they are read.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

std::string all_of(const Content& content, std::uint64_t offset = 0) {
  return unwrap(read_all(*unwrap(content.open(offset)), 1'000'000));
}

TEST(MemoryContent, OpensAgainFromAnyOffset) {
  const ContentPtr content = memory_content("hello");
  EXPECT_EQ(content->size(), 5U);
  EXPECT_EQ(all_of(*content), "hello");
  EXPECT_EQ(all_of(*content, 3), "lo");
  EXPECT_EQ(all_of(*content, 5), "");
  EXPECT_THAT(content->open(6), fails_with(ErrorCode::invalid_argument));
  EXPECT_EQ(content->file(), std::nullopt);
}

TEST(MemoryContent, ReaderOutlivesContent) {
  std::unique_ptr<Reader> reader = unwrap(memory_content("hello")->open());
  EXPECT_EQ(unwrap(read_all(*reader, 10)), "hello");
}

/// Gives three bytes at a time, as a network may.
class Dripping final : public Reader {
 public:
  explicit Dripping(std::string_view text) : left_(text) {}
  Result<std::size_t> read(MutableBytes buffer) override {
    const std::size_t count = std::min({left_.size(), buffer.size(), std::size_t{3}});
    std::memcpy(buffer.data(), left_.data(), count);
    left_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view left_;
};

TEST(ReadFull, FillsTheBufferAsFarAsTheStreamGoes) {
  Dripping reader("0123456789");
  std::vector<std::byte> buffer(7);
  EXPECT_EQ(unwrap(read_full(reader, buffer)), 7U);
  EXPECT_EQ(as_text(buffer), "0123456");
  EXPECT_EQ(unwrap(read_full(reader, buffer)), 3U);
  EXPECT_EQ(as_text(Bytes(buffer).first(3)), "789");
  EXPECT_EQ(unwrap(read_full(reader, buffer)), 0U);
}

TEST(FileContent, ReadsWholeFileAndSlice) {
  const test::TempDir dir;
  const auto path = dir.write("f", "0123456789");
  const ContentPtr whole = unwrap(file_content(path));
  EXPECT_EQ(whole->size(), 10U);
  EXPECT_EQ(all_of(*whole, 4), "456789");
  EXPECT_EQ(whole->file(), path);
  const ContentPtr slice = file_slice(path, 2, 3);
  EXPECT_EQ(all_of(*slice), "234");
  EXPECT_EQ(all_of(*slice, 2), "4");
  EXPECT_EQ(slice->file(), std::nullopt);
}

TEST(FileContent, AFileThatShrinksIsAnError) {
  const test::TempDir dir;
  const auto path = dir.write("f", "0123456789");
  const ContentPtr content = unwrap(file_content(path));
  std::filesystem::resize_file(path, 4);
  EXPECT_THAT(read_all(*unwrap(content->open()), 100),
              fails_with(ErrorCode::io, HasSubstr("ended 6 bytes early")));
}

TEST(FileContent, AFileThatGrowsGivesItsOldSize) {
  const test::TempDir dir;
  const auto path = dir.write("f", "0123");
  const ContentPtr content = unwrap(file_content(path));
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(all_of(*content), "0123");
}

TEST(FileContent, RefusesWhatIsNoFile) {
  const test::TempDir dir;
  EXPECT_THAT(file_content(dir / "none"), fails_with(ErrorCode::not_found, HasSubstr("none")));
  EXPECT_THAT(file_content(dir.path()), fails_with(ErrorCode::invalid_input));
}

TEST(ReadAll, HoldsTheLimit) {
  EXPECT_EQ(unwrap(read_all(*memory_reader("12345"), 5)), "12345");
  EXPECT_THAT(read_all(*memory_reader("123456"), 5), fails_with(ErrorCode::invalid_input));
  const std::string large(3'000'000, 'x');
  EXPECT_EQ(unwrap(read_all(*memory_reader(large), large.size())), large);
}

TEST(ReadFile, NamesTheFileThatIsTooLarge) {
  const test::TempDir dir;
  const auto path = dir.write("big", "123456");
  EXPECT_EQ(unwrap(read_file(path, 6)), "123456");
  EXPECT_THAT(read_file(path, 5), fails_with(ErrorCode::invalid_input, HasSubstr("big is larger")));
}

TEST(Copy, MovesEverythingAndCounts) {
  const std::string large(1'000'003, 'y');
  std::string target;
  StringWriter writer(target);
  EXPECT_EQ(unwrap(copy(*memory_reader(large), writer)), large.size());
  EXPECT_EQ(target, large);
}

class FullDisk final : public Writer {
 public:
  Result<void> write(Bytes /*bytes*/) override { return fail(ErrorCode::no_space, "full"); }
};

TEST(Copy, PassesTheWritersError) {
  FullDisk disk;
  EXPECT_THAT(copy(*memory_reader("x"), disk), fails_with(ErrorCode::no_space));
}

}  // namespace
}  // namespace fnimage
