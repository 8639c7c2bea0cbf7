// Engines: same bytes on any number of threads and for any cutting of the input; foreign tools read
// them.
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/layer/compression.hpp>
#include <fnimage/manifest/digest.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::unwrap;
using test::run;
using test::sample;
using ::testing::HasSubstr;

std::string compressed(Compression compression, std::string_view bytes, std::size_t threads,
                       std::size_t piece = 1 << 16) {
  WorkerPool pool(threads);
  std::string output;
  StringWriter out(output);
  const auto compressor = make_compressor(compression, out, pool);
  unwrap(test::write_in_pieces(*compressor, bytes, piece));
  unwrap(compressor->finish());
  return output;
}

std::string decompressed(std::string bytes) {
  const auto reader = unwrap(decompressing_reader(memory_reader(std::move(bytes))));
  return unwrap(read_all(*reader, std::uint64_t{1} << 30));
}

class Engine : public ::testing::TestWithParam<Compression> {};

TEST_P(Engine, OutputDependsOnlyOnTheInput) {
  for (const std::size_t size : {std::size_t{300'000}, std::size_t{9'500'000}}) {
    const std::string input = sample(size);
    const std::string once = compressed(GetParam(), input, 1);
    EXPECT_EQ(compressed(GetParam(), input, 2), once);
    EXPECT_EQ(compressed(GetParam(), input, 4), once);
    EXPECT_EQ(compressed(GetParam(), input, 3, 7919), once);
    EXPECT_EQ(compressed(GetParam(), input, 2, input.size()), once);
    EXPECT_EQ(decompressed(once), input);
  }
}

TEST_P(Engine, EdgesOfBlocks) {
  for (const std::size_t size : {0U, 1U, (1U << 20) - 1, 1U << 20, (1U << 20) + 1}) {
    const std::string input = sample(size);
    EXPECT_EQ(decompressed(compressed(GetParam(), input, 2)), input) << size;
  }
}

TEST_P(Engine, WorksInsideTasksOfItsOwnPool) {
  const std::string input = sample(5'000'000);
  const std::string expected = compressed(GetParam(), input, 1);
  WorkerPool pool(2);
  std::vector<std::string> outputs(6);
  TaskGroup group(pool);
  for (std::string& output : outputs) {
    group.run([&]() -> Result<void> {
      StringWriter out(output);
      const auto compressor = make_compressor(GetParam(), out, pool);
      FNIMAGE_CHECK(test::write_in_pieces(*compressor, input, 100'000));
      return compressor->finish();
    });
  }
  unwrap(group.wait());
  EXPECT_THAT(outputs, ::testing::Each(expected));
}

TEST_P(Engine, PassesOnTheErrorOfItsOutput) {
  class Full final : public Writer {
    Result<void> write(Bytes) override { return fail(ErrorCode::no_space, "disk full"); }
  } full;
  WorkerPool pool(2);
  const auto compressor = make_compressor(GetParam(), full, pool);
  Result<void> result = test::write_in_pieces(*compressor, sample(20'000'000), 1 << 20);
  if (result) {
    result = compressor->finish();
  }
  EXPECT_THAT(result, fails_with(ErrorCode::no_space));
}

TEST_P(Engine, CutInputIsAnErrorNotAnEnd) {
  if (GetParam() == Compression::none) {
    GTEST_SKIP() << "nothing tells where plain bytes end";
  }
  const std::string whole = compressed(GetParam(), sample(400'000), 1);
  for (const std::size_t size : {whole.size() - 5, whole.size() / 2, std::size_t{8}}) {
    const auto read_cut = [&]() -> Result<std::string> {
      FNIMAGE_TRY(const auto reader, decompressing_reader(memory_reader(whole.substr(0, size))));
      return read_all(*reader, 1 << 30);
    };
    EXPECT_THAT(read_cut(), fails_with(ErrorCode::invalid_input)) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Engine,
                         ::testing::Values(Compression::none, Compression::gzip, Compression::zstd),
                         [](const auto& value) {
                           return std::string(value.param == Compression::none   ? "none"
                                              : value.param == Compression::gzip ? "gzip"
                                                                                 : "zstd");
                         });

// Another version of a library may give other bytes: its digest is pinned under its own engine id
// (Debian 12's and 13's).
TEST(Compression, GoldenDigests) {
  const std::string input = sample(3'000'000);
  const std::map<std::string, std::string> golden{
      {"gzip/libdeflate-1.14/5/1048576",
       "380552f7b84aa48bf03192720486d33565e032ba7bcdf294d7985d3ce160e934"},
      {"gzip/libdeflate-1.23/5/1048576",
       "380552f7b84aa48bf03192720486d33565e032ba7bcdf294d7985d3ce160e934"},
      {"zstd/libzstd-1.5.4/3/4194304",
       "dcea1050b440c54e42bceec034e047a2e281d54509209d03147b6a96fe5f84ee"},
      {"zstd/libzstd-1.5.7/3/4194304",
       "62d05dbe1909030071560ba40c4bfee7f859b69123467c2c86e606d5c722a6a0"}};
  for (const Compression compression : {Compression::gzip, Compression::zstd}) {
    const auto expected = golden.find(engine_id(compression));
    if (expected != golden.end()) {
      EXPECT_EQ(manifest::Digest::of(compressed(compression, input, 2)).hex(), expected->second)
          << expected->first;
    }
  }
}

TEST(Compression, ForeignToolsReadIt) {
  const fnimage::test::TempDir temp;
  const std::string input = sample(3'500'000);
  const std::string plain = temp.write("plain", input).string();
  const std::string gz = temp.write("a.gz", compressed(Compression::gzip, input, 2)).string();
  const std::string empty = temp.write("e.gz", compressed(Compression::gzip, "", 2)).string();
  run("gzip -t " + gz + " && gzip -dc " + gz + " | cmp - " + plain);
  EXPECT_EQ(run("gzip -dc " + empty), "");
  const std::string python =
      "python3 -c 'import gzip,sys; print(len(gzip.open(\"" + gz + "\").read()))'";
  EXPECT_EQ(run(python), "3500000\n");
  if (!run("command -v zstd || true").empty()) {
    const std::string zst = temp.write("a.zst", compressed(Compression::zstd, input, 2)).string();
    run("zstd -qdc " + zst + " | cmp - " + plain);
  }
}

TEST(Compression, NamesAreChecked) {
  EXPECT_EQ(unwrap(parse_compression("zstd")), Compression::zstd);
  EXPECT_THAT(parse_compression("bzip2"),
              fails_with(ErrorCode::invalid_argument, HasSubstr("bzip2")));
}

}  // namespace
}  // namespace fnimage::layer
