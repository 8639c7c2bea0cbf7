// From tree to blob: digests are true, equal on any number of threads, memory is bounded, the cache
// saves the work.
#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fnimage/layer/layer.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/sanitized.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::TempDir;
using fnimage::test::unwrap;
using ::testing::HasSubstr;

FileTree sample_tree() {
  FileTree tree;
  for (int i = 0; i < 50; ++i) {
    unwrap(tree.add(test::file("dir" + std::to_string(i % 7) + "/file" + std::to_string(i),
                               test::sample(100'000, static_cast<std::uint64_t>(i)))));
  }
  return tree;
}

Layer build(const FileTree& tree, Compression compression, const TempDir& temp,
            std::size_t threads) {
  LayerCache cache = unwrap(LayerCache::open(temp / "cache"));
  WorkerPool pool(threads);
  return unwrap(build_layer(tree, {.compression = compression}, cache, pool, null_diagnostics()));
}

class LayerOf : public ::testing::TestWithParam<Compression> {};

TEST_P(LayerOf, DigestsAreTrueAndThreadsChangeNothing) {
  const TempDir temp;
  const TempDir other;
  const FileTree tree = sample_tree();
  const Layer layer = build(tree, GetParam(), temp, 1);
  EXPECT_FALSE(layer.cached);
  const std::string blob = unwrap(read_all(*unwrap(layer.blob->open()), 1 << 30));
  EXPECT_EQ(layer.descriptor.digest, manifest::Digest::of(blob));
  EXPECT_EQ(layer.descriptor.size, blob.size());
  const auto plain = unwrap(decompressing_reader(memory_reader(blob)));
  const std::string tar = unwrap(read_all(*plain, 1 << 30));
  EXPECT_EQ(tar, test::tar_of(tree));
  EXPECT_EQ(layer.diff_id, manifest::Digest::of(tar));
  EXPECT_EQ(layer.uncompressed_size, tar.size());
  EXPECT_EQ(build(tree, GetParam(), other, 4).descriptor, layer.descriptor);
}

INSTANTIATE_TEST_SUITE_P(All, LayerOf,
                         ::testing::Values(Compression::none, Compression::gzip,
                                           Compression::zstd));

TEST(Layer, SecondBuildComesFromTheCache) {
  const TempDir temp;
  FileTree tree = sample_tree();
  const Layer first = build(tree, Compression::gzip, temp, 2);
  const Layer second = build(tree, Compression::gzip, temp, 2);
  EXPECT_TRUE(second.cached);
  EXPECT_EQ(second.descriptor, first.descriptor);
  EXPECT_EQ(second.diff_id, first.diff_id);
  EXPECT_EQ(second.descriptor.media_type, manifest::media_type::oci_layer_gzip);
  EXPECT_FALSE(build(tree, Compression::zstd, temp, 2).cached);
  std::filesystem::resize_file(*first.blob->file(), 10);
  EXPECT_FALSE(build(tree, Compression::gzip, temp, 2).cached);
  tree.find("dir0/file0")->content = memory_content("of no known digest");
  EXPECT_FALSE(build(tree, Compression::gzip, temp, 2).cached);
  EXPECT_FALSE(build(tree, Compression::gzip, temp, 2).cached);
}

TEST(Layer, ManyAtOnceOnOnePool) {
  const TempDir temp;
  LayerCache cache = unwrap(LayerCache::open(temp / "cache"));
  WorkerPool pool(2);
  const FileTree tree = sample_tree();
  std::vector<FileTree> trees(8, tree);
  std::vector<std::optional<Layer>> layers(trees.size());
  TaskGroup group(pool);
  for (std::size_t i = 0; i < trees.size(); ++i) {
    unwrap(trees[i].add(test::file("number", std::to_string(i / 2))));
    group.run([&, i]() -> Result<void> {
      FNIMAGE_TRY(layers[i], build_layer(trees[i], {}, cache, pool, null_diagnostics()));
      return {};
    });
  }
  unwrap(group.wait());
  for (std::size_t i = 0; i + 1 < layers.size(); i += 2) {
    EXPECT_EQ(layers[i]->descriptor, layers[i + 1]->descriptor);
  }
  EXPECT_NE(layers[0]->descriptor.digest, layers[2]->descriptor.digest);
}

TEST(Layer, FailureLeavesNothingInTheCache) {
  const TempDir temp;
  const auto path = temp.write("source", "text");
  FileTree tree;
  Entry entry = test::file("file", "");
  entry.content = unwrap(file_content(path));
  unwrap(tree.add(entry));
  temp.write("source", "t");
  LayerCache cache = unwrap(LayerCache::open(temp / "cache"));
  WorkerPool pool(2);
  EXPECT_THAT(build_layer(tree, {.label = "user files"}, cache, pool, null_diagnostics()),
              fails_with(ErrorCode::io, HasSubstr("user files")));
  EXPECT_TRUE(std::filesystem::is_empty(temp / "cache/blobs/sha256"));
  EXPECT_TRUE(std::filesystem::is_empty(temp / "cache/keys"));
}

/// Bytes that are made while they are read.
class GeneratedContent final : public Content {
 public:
  explicit GeneratedContent(std::uint64_t size) : size_(size) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t offset) const override {
    return std::make_unique<Generator>(size_ - offset);
  }

 private:
  class Generator final : public Reader {
   public:
    explicit Generator(std::uint64_t left) : left_(left) {}
    Result<std::size_t> read(MutableBytes buffer) override {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, buffer.size()));
      if (count > 0) {
        std::memset(buffer.data(), static_cast<int>(left_ >> 22), count);
        left_ -= count;
      }
      return count;
    }

   private:
    std::uint64_t left_;
  };
  std::uint64_t size_;
};

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(Layer, MemoryDoesNotGrowWithTheLayer) {
  if (::fnimage::test::sanitized) {
    GTEST_SKIP() << "a sanitizer's own memory would be measured";
  }
  const auto pack = [](std::uint64_t size, Compression compression) {
    const TempDir temp;
    FileTree tree;
    Entry entry = test::file("big", "");
    entry.content = std::make_shared<GeneratedContent>(size);
    unwrap(tree.add(entry));
    EXPECT_GT(build(tree, compression, temp, 2).uncompressed_size, size);
  };
  for (const Compression compression : {Compression::gzip, Compression::zstd}) {
    pack(std::uint64_t{64} << 20, compression);
    const long before = peak_kib();
    pack(std::uint64_t{1} << 30, compression);
    EXPECT_LT(peak_kib() - before, 64 * 1024);
  }
}

}  // namespace
}  // namespace fnimage::layer
