// A cache entry is whole or a miss. Thread-safety: none needed.
#include <gtest/gtest.h>

#include <fnimage/layer/cache.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::layer {
namespace {

using fnimage::test::TempDir;
using fnimage::test::unwrap;

LayerCache::Record store(LayerCache& cache, const std::optional<std::string>& key,
                         std::string_view bytes) {
  AtomicFile blob = unwrap(cache.begin());
  unwrap(blob.write(as_bytes(bytes)));
  const LayerCache::Record record{manifest::Digest::of(bytes), bytes.size(),
                                  manifest::Digest::of("tar"), 3};
  unwrap(cache.store(key, record, std::move(blob)));
  return record;
}

std::filesystem::path only_file(const std::filesystem::path& directory) {
  return std::filesystem::directory_iterator(directory)->path();
}

TEST(LayerCache, RemembersAcrossObjects) {
  const TempDir temp;
  LayerCache cache = unwrap(LayerCache::open(temp / "cache"));
  const auto record = store(cache, "key", "blob");
  const LayerCache other = unwrap(LayerCache::open(temp / "cache"));
  const auto found = other.find("key");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->digest, record.digest);
  EXPECT_EQ(found->size, 4U);
  EXPECT_EQ(found->diff_id, record.diff_id);
  EXPECT_EQ(found->uncompressed_size, 3U);
  EXPECT_FALSE(other.find("other key"));
  EXPECT_EQ(unwrap(read_file(other.blob_path(record.digest), 100)), "blob");
}

TEST(LayerCache, WithoutKeyOnlyTheBlobStays) {
  const TempDir temp;
  LayerCache cache = unwrap(LayerCache::open(temp / "cache"));
  const auto record = store(cache, std::nullopt, "blob");
  EXPECT_TRUE(std::filesystem::exists(cache.blob_path(record.digest)));
  EXPECT_TRUE(std::filesystem::is_empty(temp / "cache/keys"));
}

TEST(LayerCache, DamageIsAMiss) {
  const TempDir temp;
  LayerCache cache = unwrap(LayerCache::open(temp / "cache"));
  const auto record = store(cache, "key", "blob");
  const auto key_file = only_file(temp / "cache/keys");
  const std::string line = unwrap(read_file(key_file, 1000));
  for (const std::string& damaged : {std::string(), line.substr(0, line.size() - 1), "x" + line,
                                     line + line, std::string(2000, 'x')}) {
    unwrap(write_file_atomically(key_file, damaged));
    EXPECT_FALSE(cache.find("key"));
  }
  unwrap(write_file_atomically(key_file, line));
  EXPECT_TRUE(cache.find("key"));
  unwrap(write_file_atomically(cache.blob_path(record.digest), "blo"));
  EXPECT_FALSE(cache.find("key"));
  std::filesystem::remove(cache.blob_path(record.digest));
  EXPECT_FALSE(cache.find("key"));
}

}  // namespace
}  // namespace fnimage::layer
