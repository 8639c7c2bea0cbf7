// A14 where it is about files: layers that try to leave the directory, written to disk. All of
// test/support/breakouts.json, and trees that no layer would give, since the writer relies on none.
#include "tree_writer.hpp"

#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fnimage/base/text.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/layer/archive.hpp>
#include <fnimage/test/breakouts.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "root_files.hpp"

namespace fnimage::run {
namespace {

namespace fs = std::filesystem;
using layer::Entry;
using layer::EntryType;
using test::fails_with;
using test::TempDir;
using test::unwrap;
using ::testing::HasSubstr;

struct stat status_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

/// Everything below a directory: type, inode, mode, links and content.
std::map<std::string, std::string> snapshot(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    const struct stat status = status_of(entry.path());
    std::string said = std::to_string(status.st_ino) + " " + std::to_string(status.st_mode) + " " +
                       std::to_string(status.st_nlink);
    if (entry.is_regular_file() && !entry.is_symlink()) {
      said += " " + unwrap(read_file(entry.path(), 1000));
    }
    all.emplace(entry.path().string(), std::move(said));
  }
  return all;
}

layer::FileTree::Map map_of(std::vector<Entry> entries) {
  layer::FileTree::Map map;
  for (Entry& entry : entries) {
    const std::string path = entry.path;
    map.emplace(path, std::move(entry));
  }
  return map;
}

Entry directory(std::string path, std::uint32_t mode = 0755) {
  return {.path = std::move(path), .type = EntryType::directory, .mode = mode};
}

Entry file(std::string path, std::string text, std::uint32_t mode = 0644) {
  return {.path = std::move(path), .mode = mode, .mtime = 7, .content = memory_content(text)};
}

Entry link(EntryType type, std::string path, std::string target) {
  return {.path = std::move(path), .type = type, .link = std::move(target)};
}

TEST(WriteTree, WritesWhatTheTreeSays) {
  const TempDir root;
  ASSERT_THAT(write_tree(map_of({directory("bin", 0555),
                                 file("bin/tool", "#!", 06755),
                                 link(EntryType::hardlink, "bin/also", "bin/tool"),
                                 link(EntryType::symlink, "sh", "/bin/sh"),
                                 directory("deep"),
                                 directory("deep/er"),
                                 file("deep/er/x", std::string(1 << 20, 'x')),
                                 {.path = "disk", .type = EntryType::block_device}}),
                         root.path()),
              test::is_ok());
  EXPECT_EQ(status_of(root / "bin/tool").st_mode, S_IFREG | 0755) << "no set-id bits";
  EXPECT_EQ(status_of(root / "bin/tool").st_mtime, 7);
  EXPECT_EQ(status_of(root / "bin/tool").st_ino, status_of(root / "bin/also").st_ino);
  EXPECT_EQ(status_of(root / "bin").st_mode & 07777U, 0755U);
  EXPECT_EQ(fs::read_symlink(root / "sh"), "/bin/sh");
  EXPECT_EQ(fs::file_size(root / "deep/er/x"), std::uintmax_t{1} << 20U);
  EXPECT_FALSE(fs::exists(root / "disk"));
}

TEST(WriteTree, GoesThroughNoLink) {
  const TempDir outside;
  outside.write("sentinel", "untouched");
  const auto before = snapshot(outside.path());
  const std::string out = outside.path().string();
  const std::vector<std::vector<Entry>> trees{
      {link(EntryType::symlink, "d", out), file("d/escaped", "x")},
      {link(EntryType::symlink, "d", out), directory("d/escaped")},
      {link(EntryType::symlink, "d", out), link(EntryType::symlink, "d/escaped", "x")},
      {link(EntryType::symlink, "d", out), link(EntryType::hardlink, "stolen", "d/sentinel")},
      {directory("e"), link(EntryType::symlink, "e/d", out),
       link(EntryType::hardlink, "e/d/escaped", "e/x"), file("e/x", "x")},
      {file("../escaped", "x")},
      {file("a/../../escaped", "x")},
      {link(EntryType::hardlink, "stolen",
            "../" + outside.path().filename().string() + "/sentinel")},
      {link(EntryType::hardlink, "stolen", out + "/sentinel")},
      {file("..", "x")},
      {file("", "x")},
      {file("f", "x"), file("f/g", "x")},
  };
  for (const std::vector<Entry>& tree : trees) {
    const TempDir root;
    SCOPED_TRACE(tree.back().path);
    EXPECT_THAT(write_tree(map_of(tree), root.path()), fails_with(ErrorCode::invalid_input));
    EXPECT_FALSE(fs::exists(root / "stolen"));
    EXPECT_FALSE(fs::exists(root.path().parent_path() / "escaped"));
  }
  EXPECT_EQ(snapshot(outside.path()), before);
}

TEST(WriteTree, ReplacesNothing) {
  const TempDir outside;
  outside.write("sentinel", "untouched");
  const TempDir root;
  fs::create_symlink(outside / "sentinel", root / "f");
  EXPECT_THAT(write_tree(map_of({file("f", "overwritten")}), root.path()),
              fails_with(ErrorCode::already_exists));
  EXPECT_EQ(outside.read("sentinel"), "untouched");
  fs::remove(root / "f");
  fs::create_directory_symlink(outside.path(), root / "d");
  EXPECT_THAT(write_tree(map_of({directory("d"), file("d/x", "1")}), root.path()),
              fails_with(ErrorCode::already_exists));
  EXPECT_THAT(outside.list(), ::testing::ElementsAre("sentinel"));
}

TEST(WriteTree, EndsWhenItIsAskedTo) {
  const TempDir root;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(write_tree(map_of({file("f", "x")}), root.path(), {.stop = stop.get_token()}),
              fails_with(ErrorCode::cancelled));
}

Result<layer::ArchiveListing> listing_of(const std::vector<test::RawTarEntry>& entries,
                                         const fs::path& directory, const std::string& id) {
  const std::string tar = test::raw_tar(entries);
  return layer::unpack_tar([&] { return Result<std::unique_ptr<Reader>>(memory_reader(tar)); }, id,
                           directory, "layer");
}

/// The file that a path leads to when `root` is the root directory, as the program will have it.
std::optional<std::string> content_in(const fs::path& root, const std::string& path) {
  std::vector<std::string> rest;  // the next part last
  const auto push = [&rest](const std::string& text) {
    const std::vector<std::string_view> parts = split(text, '/');
    rest.insert(rest.end(), parts.rbegin(), parts.rend());
  };
  push(path);
  fs::path at;
  for (int links = 0; links < 40 && !rest.empty();) {
    const std::string part = rest.back();
    rest.pop_back();
    if (part == "..") {
      at = at.parent_path();
    } else if (fs::is_symlink(fs::symlink_status(root / at / part))) {
      const std::string target = fs::read_symlink(root / at / part).string();
      at = target.starts_with('/') ? fs::path() : at;
      push(target);
      ++links;
    } else if (!part.empty() && part != ".") {
      at /= part;
    }
  }
  return rest.empty() && fs::is_regular_file(fs::symlink_status(root / at))
             ? std::optional(unwrap(read_file(root / at, 100)))
             : std::nullopt;
}

TEST(WriteTree, BreakoutsStayWithinTheDirectory) {
  const TempDir outside;
  outside.write("sentinel", "untouched");
  outside.write("d/x", "untouched too");
  const TempDir packs;
  const fs::path old = fs::current_path();
  fs::current_path(outside.path());
  const auto before = snapshot(outside.path());
  std::size_t written = 0;
  for (const test::Breakout& breakout : test::breakouts(outside.path().string())) {
    SCOPED_TRACE(breakout.name);
    const auto base = listing_of(breakout.base, packs.path(), breakout.name + "-base");
    const auto attack = listing_of(breakout.attack, packs.path(), breakout.name + "-attack");
    if (breakout.refused) {
      EXPECT_THAT(attack, fails_with(ErrorCode::invalid_input, HasSubstr("layer")));
      continue;
    }
    check::ImageFiles files;
    files.add_layer("base", unwrap(base).entries);
    files.add_layer("attack", unwrap(attack).entries);
    const auto entries = root_files(files);
    if (!files.bad_whiteouts().empty() || !files.broken_links().empty()) {
      EXPECT_THAT(entries, fails_with(ErrorCode::invalid_input));
      continue;
    }
    const TempDir root;
    ASSERT_THAT(write_tree(unwrap(entries), root.path(), {.owners = ::geteuid() == 0}),
                test::is_ok());
    ++written;
    for (const auto& [path, text] : breakout.tree) {
      EXPECT_EQ(content_in(root.path(), path), text) << path;
    }
    for (const auto& [path, said] : snapshot(root.path())) {
      EXPECT_THAT(said, ::testing::Not(HasSubstr("untouched"))) << path;
    }
    EXPECT_EQ(snapshot(outside.path()), before);
  }
  fs::current_path(old);
  EXPECT_GT(written, 20U);
}

}  // namespace
}  // namespace fnimage::run
