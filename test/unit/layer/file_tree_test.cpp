// Paths and the rules of adding, replacing and removing. Thread-safety: none needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/layer/file_tree.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::is_ok;
using fnimage::test::unwrap;
using test::directory;
using test::file;
using test::hardlink;
using test::symlink;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> paths(const FileTree& tree) {
  std::vector<std::string> all;
  for (const auto& [path, entry] : tree.entries()) {
    all.push_back(path);
  }
  return all;
}

TEST(CleanPath, CleansAndRefuses) {
  EXPECT_EQ(unwrap(clean_path("./usr//bin/")), "usr/bin");
  EXPECT_EQ(unwrap(clean_path("/etc/./passwd")), "etc/passwd");
  EXPECT_EQ(unwrap(clean_path("./")), "");
  EXPECT_EQ(unwrap(clean_path("..a/b..")), "..a/b..");
  EXPECT_THAT(clean_path("a/../b"), fails_with(ErrorCode::invalid_input, HasSubstr("a/..")));
  EXPECT_THAT(clean_path(std::string_view("a\0b", 3)), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(clean_path(std::string(4096, 'a')), is_ok());
  EXPECT_THAT(clean_path(std::string(4097, 'a')), fails_with(ErrorCode::invalid_input));
}

TEST(FileTree, MakesParentsAndKeepsChildren) {
  FileTree tree;
  ASSERT_THAT(tree.add(file("./a/b/c", "x")), is_ok());
  EXPECT_THAT(paths(tree), ElementsAre("a", "a/b", "a/b/c"));
  EXPECT_EQ(tree.find("a/b")->mode, 0755U);
  Entry changed = directory("a/b");
  changed.mode = 0700;
  ASSERT_THAT(tree.add(changed), is_ok());
  EXPECT_EQ(tree.find("a/b")->mode, 0700U);
  EXPECT_NE(tree.find("a/b/c"), nullptr);
  EXPECT_EQ(tree.content_size(), 1U);
}

TEST(FileTree, RefusesWhatCannotBe) {
  FileTree tree;
  ASSERT_THAT(tree.add(file("a/b", "x")), is_ok());
  EXPECT_THAT(tree.add(file("a/b/c", "x")), fails_with(ErrorCode::invalid_input, HasSubstr("a/b")));
  EXPECT_THAT(tree.add(file("a", "x")), fails_with(ErrorCode::invalid_input, HasSubstr("empty")));
  EXPECT_THAT(tree.add(file("../x", "x")), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(tree.add(file("/", "x")), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(tree.add(symlink("l", "")), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(tree.add(hardlink("h", "./h")), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(tree.add(directory("./")), is_ok());
  EXPECT_THAT(paths(tree), ElementsAre("a", "a/b"));
}

TEST(FileTree, FollowsLinkedDirectoriesAsDpkgDoes) {
  FileTree tree;
  ASSERT_THAT(tree.add(directory("usr/bin")), is_ok());
  ASSERT_THAT(tree.add(symlink("bin", "usr/bin")), is_ok());
  ASSERT_THAT(tree.add(directory("bin")), is_ok());
  EXPECT_EQ(tree.find("bin")->type, EntryType::symlink);
  ASSERT_THAT(tree.add(file("bin/sh", "x")), is_ok());
  EXPECT_THAT(paths(tree), ElementsAre("bin", "usr", "usr/bin", "usr/bin/sh"));
  ASSERT_THAT(tree.add(hardlink("rsh", "bin/sh")), is_ok());
  EXPECT_EQ(tree.find("rsh")->link, "usr/bin/sh");
  // The link itself can still be replaced by a file.
  ASSERT_THAT(tree.add(file("bin", "x")), is_ok());
  EXPECT_EQ(tree.find("bin")->type, EntryType::file);
}

TEST(FileTree, ResolvesLinksInsideTheTree) {
  FileTree tree;
  ASSERT_THAT(tree.add(file("usr/bin/python3.11", "x")), is_ok());
  ASSERT_THAT(tree.add(symlink("usr/bin/python3", "python3.11")), is_ok());
  ASSERT_THAT(tree.add(symlink("python", "/usr/bin/../bin/python3")), is_ok());
  ASSERT_THAT(tree.add(symlink("escape", "../../../usr/bin/python3")), is_ok());
  ASSERT_THAT(tree.add(symlink("loop", "loop")), is_ok());
  ASSERT_THAT(tree.add(symlink("dangling", "nothing")), is_ok());
  EXPECT_EQ(tree.resolve("python"), tree.find("usr/bin/python3.11"));
  EXPECT_EQ(tree.resolve("escape"), tree.find("usr/bin/python3.11"));
  EXPECT_EQ(tree.resolve("loop"), nullptr);
  EXPECT_EQ(tree.resolve("dangling"), nullptr);
  EXPECT_THAT(tree.add(file("loop/x", "x")), fails_with(ErrorCode::invalid_input));
}

TEST(FileTree, HardLinksSurviveTheirFirstName) {
  FileTree tree;
  ASSERT_THAT(tree.add(file("a", "old")), is_ok());
  ASSERT_THAT(tree.add(hardlink("b", "a")), is_ok());
  ASSERT_THAT(tree.add(hardlink("c", "a")), is_ok());
  ASSERT_THAT(tree.add(file("a", "newer")), is_ok());
  EXPECT_EQ(tree.find("a")->size(), 5U);
  EXPECT_EQ(tree.find("b")->type, EntryType::file);
  EXPECT_EQ(tree.find("b")->size(), 3U);
  EXPECT_EQ(tree.find("c")->link, "b");
  EXPECT_TRUE(tree.remove("b"));
  EXPECT_EQ(tree.find("c")->type, EntryType::file);
  EXPECT_EQ(tree.find("c")->size(), 3U);
}

TEST(FileTree, RemovesWholeDirectoriesOnly) {
  FileTree tree;
  for (const char* path : {"a/x", "a/y/z", "a-b", "a.b/x", "ab"}) {
    ASSERT_THAT(tree.add(file(path, "x")), is_ok());
  }
  EXPECT_TRUE(tree.remove("./a/"));
  EXPECT_THAT(paths(tree), ElementsAre("a-b", "a.b", "a.b/x", "ab"));
  EXPECT_FALSE(tree.remove("a"));
  EXPECT_FALSE(tree.remove(".."));
}

TEST(FileTree, KeySeesEveryField) {
  FileTree tree;
  ASSERT_THAT(tree.add(file("a", "x")), is_ok());
  ASSERT_THAT(tree.add(symlink("s", "a")), is_ok());
  const auto key = tree.key();
  ASSERT_TRUE(key);
  const auto changed_key = [&](const std::function<void(Entry&)>& change) {
    FileTree copy = tree;
    change(*copy.find("a"));
    return copy.key();
  };
  EXPECT_EQ(changed_key([](Entry&) {}), key);
  EXPECT_NE(changed_key([](Entry& e) { e.mode = 0600; }), key);
  EXPECT_NE(changed_key([](Entry& e) { e.uid = 1; }), key);
  EXPECT_NE(changed_key([](Entry& e) { e.gid = 1; }), key);
  EXPECT_NE(changed_key([](Entry& e) { e.mtime = -1; }), key);
  EXPECT_NE(changed_key([](Entry& e) { e.xattrs["user.a"] = "b"; }), key);
  EXPECT_NE(changed_key([](Entry& e) { e.content = memory_content("x", "other"); }), key);
  EXPECT_NE(changed_key([](Entry& e) { e.content = nullptr; }), key);
  EXPECT_EQ(changed_key([](Entry& e) { e.content = memory_content("x"); }), std::nullopt);
  FileTree linked = tree;
  linked.find("s")->link = "b";
  EXPECT_NE(linked.key(), key);
}

}  // namespace
}  // namespace fnimage::layer
