// A16: compressed streams that are made to fill disks or memory, to run for ever, or to say one
// thing to one reader and another to the next. Memory is that of a child process: its peak is what
// counts.
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fnimage/layer/archive.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/test/raw_tar.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/sanitized.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::is_ok;
using fnimage::test::TempDir;
using fnimage::test::unwrap;
using ::testing::HasSubstr;

/// A beginning, then one piece again and again.
class EndlessReader final : public Reader {
 public:
  EndlessReader(std::string begin, std::string piece, std::uint64_t pieces)
      : now_(std::move(begin)), piece_(std::move(piece)), pieces_(pieces) {}

  Result<std::size_t> read(MutableBytes buffer) override {
    if (at_ == now_.size() && pieces_ > 0) {
      --pieces_;
      now_ = piece_;
      at_ = 0;
    }
    const std::size_t count = std::min(buffer.size(), now_.size() - at_);
    std::copy_n(as_bytes(now_).begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }

 private:
  std::string now_;
  std::string piece_;
  std::uint64_t pieces_;
  std::size_t at_ = 0;
};

std::string packed_with(const std::string& program, std::string_view bytes) {
  const TempDir temp;
  temp.write("plain", bytes);
  test::run("cd " + temp.path().string() + " && " + program + " -c plain > packed");
  return temp.read("packed");
}

Result<std::string> decompress_all(std::string bytes) {
  FNIMAGE_TRY(const auto reader, decompressing_reader(memory_reader(std::move(bytes))));
  return read_all(*reader, std::uint64_t{1} << 24U);
}

/// Peak memory of a child that does this and must succeed, in MiB, beyond what it began with.
long peak_memory_of(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    struct rusage begin {};
    ::getrusage(RUSAGE_SELF, &begin);
    const bool good = work();
    struct rusage end {};
    ::getrusage(RUSAGE_SELF, &end);
    constexpr long most = 250;
    ::_exit(good ? static_cast<int>(std::min((end.ru_maxrss - begin.ru_maxrss) / 1024, most))
                 : 255);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_NE(WEXITSTATUS(status), 255) << "the child's work failed";
  return WEXITSTATUS(status);
}

/// Memory cannot be compared where a sanitizer keeps what was freed.
constexpr long any_memory = 250;

struct Packer {
  std::string command;
  long memory;  ///< MiB
};

class Bomb : public ::testing::TestWithParam<Packer> {};

// One file of 10 GiB of zeros in a layer or package: 1 MiB of them, 10,240 times.
TEST_P(Bomb, TenGibibytesOfZerosStopEarlyInLittleMemory) {
  fnimage::test::RawTarEntry entry = fnimage::test::raw_file("zeros", "");
  entry.size = std::uint64_t{10} << 30U;
  const std::string begin = packed_with(GetParam().command, fnimage::test::raw_tar_entry(entry));
  const std::string piece = packed_with(GetParam().command, std::string(1 << 20, '\0'));
  const TempDir temp;
  const auto unpack_bomb = [&] {
    return unpack_tar(
        [&] {
          return Result<std::unique_ptr<Reader>>(
              std::make_unique<EndlessReader>(begin, piece, 10'240));
        },
        "id", temp.path() / "packs", "the bomb", {.max_ratio = 500});
  };
  const long memory = peak_memory_of([&] {
    const auto listing = unpack_bomb();
    return !listing && listing.error().code() == ErrorCode::invalid_input &&
           listing.error().message().find("the bomb grows more than 500 times") !=
               std::string::npos;
  });
  EXPECT_LT(memory, fnimage::test::sanitized ? any_memory + 1 : GetParam().memory);
  EXPECT_TRUE(std::filesystem::is_empty(temp.path() / "packs"));
}

// dpkg's endless loop (CVE-2026-2219) was a stream cut in the wrong place.
TEST_P(Bomb, CutAnywhereItIsAnError) {
  const std::string whole = packed_with(GetParam().command, test::sample(3000));
  EXPECT_EQ(unwrap(decompress_all(whole)), test::sample(3000));
  for (std::size_t size = 6; size < whole.size(); ++size) {
    EXPECT_THAT(decompress_all(whole.substr(0, size)), fails_with(ErrorCode::invalid_input))
        << size;
  }
}

TEST_P(Bomb, SeveralStreamsAreOneAndNothingElseMayFollow) {
  const std::string one = packed_with(GetParam().command, "one ");
  const std::string two = packed_with(GetParam().command, "two");
  EXPECT_EQ(unwrap(decompress_all(one + two)), "one two");
  for (const std::string& behind :
       {std::string("behind"), std::string(5000, 'x'), std::string(300'000, 'x'),
        std::string(4096, '\0') + "behind", std::string(200'000, '\0') + "x"}) {
    EXPECT_THAT(decompress_all(one + behind), fails_with(ErrorCode::invalid_input))
        << behind.size();
  }
}

// What follows the data is read, since at its end the digest of the whole is compared.
TEST_P(Bomb, TheDigestOfTheWholeIsAlwaysCompared) {
  const std::string bytes = packed_with(GetParam().command, "data") + std::string(100'000, '\0');
  const auto digest = manifest::Digest::of(bytes.substr(0, bytes.size() - 1) + "x");
  auto reader = decompressing_reader(
      manifest::verifying_reader(memory_reader(bytes), digest, bytes.size(), "blob"));
  EXPECT_FALSE(reader && read_all(**reader, 1000));
}

TEST_P(Bomb, OnlyOneCompressionIsUndone) {
  std::string nested = packed_with(GetParam().command, "data");
  const std::string inner = nested;
  for (int i = 0; i < 5; ++i) {
    nested = packed_with(GetParam().command, nested);
  }
  EXPECT_EQ(unwrap(decompress_all(packed_with(GetParam().command, inner))), inner);
  const TempDir temp;
  EXPECT_THAT(unpack_tar([&] { return Result<std::unique_ptr<Reader>>(memory_reader(nested)); },
                         "id", temp.path(), "nested"),
              fails_with(ErrorCode::invalid_input, HasSubstr("nested")));
}

// Memory of the decoders: gzip 32 KiB, zstd a window of at most 128 MiB, xz a dictionary of as
// much.
INSTANTIATE_TEST_SUITE_P(Formats, Bomb,
                         ::testing::Values(Packer{"gzip -9n", 16}, Packer{"zstd -q", 32},
                                           Packer{"xz -6", 48}),
                         [](const auto& tested) {
                           return tested.param.command.substr(0, tested.param.command.find(' '));
                         });

TEST(Bombs, ZstdWindowsAreBounded) {
  // A frame that asks for a window of 2^31 bytes, with one empty block.
  const std::string window_31("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
  const std::string window_27("\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", 9);
  EXPECT_THAT(decompress_all(window_31), fails_with(ErrorCode::invalid_input));
  EXPECT_EQ(unwrap(decompress_all(window_27)), "");
}

TEST(Bombs, XzDictionariesAreBounded) {
  EXPECT_EQ(unwrap(decompress_all(packed_with("xz --lzma2=preset=0,dict=64MiB", "data"))), "data");
  EXPECT_THAT(decompress_all(packed_with("xz --lzma2=preset=0,dict=256MiB", "data")),
              fails_with(ErrorCode::invalid_input, HasSubstr("memory")));
}

TEST(Bombs, AnXzBlockMayNotAskForMoreThanTheFirst) {
  const std::string small = packed_with("xz --lzma2=preset=0,dict=4KiB", "data");
  const std::string large = packed_with("xz --lzma2=preset=0,dict=256MiB", "data");
  EXPECT_THAT(decompress_all(small + large),
              fails_with(ErrorCode::invalid_input, HasSubstr("memory")));
}

}  // namespace
}  // namespace fnimage::layer
