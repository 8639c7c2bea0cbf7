// A14: layers that try to leave the directory that they are unpacked in, the way that check, sbom
// and inspect read layers: tar, pack, the files of the image. fnimage unpacks nothing to disk, so
// what matters is which file a path leads to, that nothing outside is read or written, and that
// nothing but the pack is made. A17: layers that ask for much more work or memory than they are
// long. A19: accounts without end.
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fnimage/check/image_files.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/test/breakouts.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::check {
namespace {

namespace fs = std::filesystem;
using test::Breakout;
using test::fails_with;
using test::TempDir;
using ::testing::HasSubstr;

/// Everything below a directory: type, inode, mode, size and content.
std::map<std::string, std::string> snapshot(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    struct stat status {};
    EXPECT_EQ(::lstat(entry.path().c_str(), &status), 0);
    std::string said = std::to_string(status.st_ino) + " " + std::to_string(status.st_mode) + " " +
                       std::to_string(status.st_nlink);
    if (entry.is_regular_file()) {
      said += " " + test::unwrap(read_file(entry.path(), 1000));
    }
    all.emplace(entry.path().string(), std::move(said));
  }
  return all;
}

Result<layer::ArchiveListing> listing_of(const std::vector<test::RawTarEntry>& entries,
                                         const fs::path& directory, const std::string& id) {
  const std::string tar = test::raw_tar(entries);
  return layer::unpack_tar([&] { return Result<std::unique_ptr<Reader>>(memory_reader(tar)); }, id,
                           directory, "layer");
}

std::optional<std::string> content_at(const ImageFiles& files, std::string_view path) {
  const auto found = files.resolve(path);
  if (!found || found->node->entry.type != layer::EntryType::file) {
    return std::nullopt;
  }
  const ContentPtr& content = found->node->entry.content;
  return content ? test::unwrap(read_all(*test::unwrap(content->open()), 100)) : "";
}

TEST(Breakouts, StayWithinTheImage) {
  const TempDir outside;
  outside.write("sentinel", "untouched");
  outside.write("d/x", "untouched too");
  const TempDir packs;
  // The working directory is outside too: relative names must not lead into it.
  const fs::path old = fs::current_path();
  fs::current_path(outside.path());
  const auto before = snapshot(outside.path());
  for (const Breakout& breakout : test::breakouts(outside.path().string())) {
    SCOPED_TRACE(breakout.name);
    const auto base = listing_of(breakout.base, packs.path(), breakout.name + "-base");
    const auto attack = listing_of(breakout.attack, packs.path(), breakout.name + "-attack");
    ASSERT_TRUE(base.has_value());
    if (breakout.refused) {
      EXPECT_THAT(attack, fails_with(ErrorCode::invalid_input, HasSubstr("layer")));
      continue;
    }
    ASSERT_THAT(attack, test::is_ok());
    ImageFiles files;
    files.add_layer("base", base->entries);
    files.add_layer("attack", attack->entries);
    for (const auto& [path, text] : breakout.tree) {
      EXPECT_EQ(content_at(files, path), text) << path;
    }
    EXPECT_EQ(files.bad_whiteouts(), breakout.bad_whiteouts);
    for (const auto& [path, node] : files.nodes()) {
      EXPECT_EQ(test::unwrap(layer::clean_path(path)), path);
      EXPECT_NE(content_at(files, path), "untouched") << path;
    }
  }
  EXPECT_EQ(snapshot(outside.path()), before);
  fs::current_path(old);
  for (const fs::directory_entry& entry : fs::directory_iterator(packs.path())) {
    EXPECT_THAT(entry.path().extension().string(), ::testing::AnyOf(".pack", ".index"));
  }
}

TEST(Breakouts, WhiteoutsOfNothingAreReported) {
  const Report report = check_layers({good_layer(), LayerOf().file("etc/.wh.", "")});
  EXPECT_THAT(briefly(report), ::testing::Contains("error whiteout /etc/.wh."));
}

// A17. Bounds that do not depend on time: how many nodes there are for how many entries.
TEST(HostileLayers, DeepPathsNameNoMoreDirectoriesThanMemoryHolds) {
  std::vector<layer::Entry> entries;
  std::string tail;
  while (std::count(tail.begin(), tail.end(), '/') < 250) {
    tail += "/aaaaaaaaaaaaaa";
  }
  constexpr std::size_t count = 2000;  // would be 500,000 directories of 2 KB each, 1 GB
  for (std::size_t i = 0; i < count; ++i) {
    entries.push_back({.path = std::to_string(i) + tail});
  }
  ImageFiles files;
  files.add_layer("layer", entries);
  EXPECT_TRUE(files.has_too_deep());
  std::size_t bytes = 0;
  for (const auto& [path, node] : files.nodes()) {
    bytes += path.size();
  }
  EXPECT_LT(bytes, std::size_t{80} << 20U);
}

TEST(HostileLayers, AttributesAreNotCopiedWithEveryHardLink) {
  LayerOf layer;
  layer.file("f", "x");
  for (int i = 0; i < 100; ++i) {
    layer.hard_link("l" + std::to_string(i), "f");
  }
  std::vector<layer::Entry> entries = layer.entries();
  entries.front().xattrs["user.big"] = std::string(1 << 20, 'x');
  ImageFiles files;
  files.add_layer("layer", entries);
  EXPECT_EQ(files.nodes().size(), 101U);
  for (const auto& [path, node] : files.nodes()) {
    EXPECT_TRUE(node.entry.xattrs.empty()) << path;
  }
}

TEST(HostileLayers, LinksThatRepeatEachOtherLeadNowhere) {
  // Each of 40 links goes through itself with the next one in front: 10,000 parts for one path.
  std::vector<layer::Entry> entries{{.path = "d", .type = layer::EntryType::directory}};
  std::string tail;
  for (int i = 0; i < 120; ++i) {
    tail += "/../d";
  }
  LayerOf layer;
  layer.directory("d");
  for (int i = 0; i < 40; ++i) {
    layer.link("l" + std::to_string(i), i == 39 ? "d" : "l" + std::to_string(i + 1) + tail);
  }
  layer.file("d/x", "1");
  ImageFiles files;
  files.add_layer("layer", layer.entries());
  EXPECT_EQ(content_at(files, "l39/x"), "1");
  EXPECT_EQ(content_at(files, "l30/x"), "1");
  EXPECT_EQ(content_at(files, "l0/x"), std::nullopt);
}

}  // namespace
}  // namespace fnimage::check
