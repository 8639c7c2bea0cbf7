// The user's files: what is taken, what is refused, and that nothing of the machine gets in.
#include <array>
#include <filesystem>
#include <string>

#include <sys/stat.h>

#include <fnimage/layer/tar_writer.hpp>
#include <fnimage/source/files.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::source {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> paths(const layer::FileTree& tree) {
  std::vector<std::string> result;
  for (const auto& [path, entry] : tree.entries()) {
    result.push_back(entry.type == layer::EntryType::directory ? path + "/" : path);
  }
  return result;
}

Result<layer::FileTree> matching(const test::TempDir& directory,
                                 const std::vector<std::string>& patterns,
                                 const FileOptions& options = {}) {
  FNIMAGE_TRY(const IgnoreRules ignore, IgnoreRules::load(directory.path()));
  layer::FileTree tree;
  FNIMAGE_CHECK(add_matching(directory.path(), patterns, ignore, "/action", options, tree));
  return tree;
}

TEST(AddMatching, TakesFilesDirectoriesAndPatterns) {
  const test::TempDir directory;
  for (const std::string_view name :
       {"main.py", "other.py", "lib/a.py", "lib/deep/b.py", "lib/data.bin", "static/x/y.css"}) {
    directory.write(name, name);
  }
  EXPECT_THAT(paths(unwrap(matching(directory, {"main.py"}))),
              ElementsAre("action/", "action/main.py"));
  EXPECT_THAT(paths(unwrap(matching(directory, {"./main.py", "lib/**/*.py", "static"}))),
              ElementsAre("action/", "action/lib/", "action/lib/a.py", "action/lib/deep/",
                          "action/lib/deep/b.py", "action/main.py", "action/static/",
                          "action/static/x/", "action/static/x/y.css"));
  EXPECT_EQ(unwrap(matching(directory, {"."})).entries().size(), 11U);
}

TEST(AddMatching, IgnoreFileWins) {
  const test::TempDir directory;
  for (const std::string_view name : {"main.py", "lib/a.py", "lib/a.pyc", "lib/keep.pyc"}) {
    directory.write(name, name);
  }
  directory.write(".fnimageignore", "**/*.pyc\n!lib/keep.pyc\n.fnimageignore\n");
  EXPECT_THAT(paths(unwrap(matching(directory, {"**"}))),
              ElementsAre("action/", "action/lib/", "action/lib/a.py", "action/lib/keep.pyc",
                          "action/main.py"));
  EXPECT_THAT(matching(directory, {"lib/a.pyc"}), fails_with(ErrorCode::not_found));
}

TEST(AddMatching, PatternWithoutMatchNamesTheNearest) {
  const test::TempDir directory;
  directory.write("lib/model.py", "");
  const auto result = matching(directory, {"lib/modle.py"});
  ASSERT_THAT(result, fails_with(ErrorCode::not_found, HasSubstr("lib/modle.py")));
  EXPECT_EQ(result.error().hint(), "did you mean \"lib/model.py\"?");
  EXPECT_THAT(matching(directory, {"../x"}),
              fails_with(ErrorCode::invalid_input, HasSubstr("leads out of")));
}

TEST(AddMatching, MetadataComesFromNothingButNamesAndExecuteBit) {
  const test::TempDir directory;
  const auto script = directory.write("run.sh", "#!/bin/sh\n");
  directory.write("data", "x");
  ASSERT_EQ(::chmod(script.c_str(), 0700), 0);
  ASSERT_EQ(::chmod((directory / "data").c_str(), 0600), 0);
  const layer::FileTree tree = unwrap(matching(directory, {"."}, {.mtime = 42}));
  EXPECT_EQ(tree.find("action/run.sh")->mode, 0755U);
  EXPECT_EQ(tree.find("action/data")->mode, 0644U);
  for (const auto& [path, entry] : tree.entries()) {
    EXPECT_EQ(entry.mtime, 42) << path;
    EXPECT_EQ(entry.uid, 0U) << path;
  }
}

TEST(AddMatching, SameContentElsewhereGivesTheSameKey) {
  const test::TempDir first;
  const test::TempDir second;
  for (const test::TempDir* directory : {&first, &second}) {
    directory->write("lib/b.py", "b");
    directory->write("a.py", "a");
  }
  std::error_code error;
  std::filesystem::last_write_time(
      second / "a.py", std::filesystem::file_time_type::clock::now() - std::chrono::hours(100),
      error);
  EXPECT_EQ(unwrap(matching(first, {"."})).key(), unwrap(matching(second, {"."})).key());
  second.write("a.py", "c");
  EXPECT_NE(unwrap(matching(first, {"."})).key(), unwrap(matching(second, {"."})).key());
}

TEST(AddMatching, LinksStayLinksAndInside) {
  const test::TempDir directory;
  directory.write("data/v1", "x");
  std::filesystem::create_symlink("data/v1", directory / "current");
  std::filesystem::create_directory_symlink("../data", directory / "data/self");
  const layer::FileTree tree = unwrap(matching(directory, {"."}));
  EXPECT_EQ(tree.find("action/current")->type, layer::EntryType::symlink);
  EXPECT_EQ(tree.find("action/current")->link, "data/v1");
  EXPECT_EQ(tree.find("action/data/self/v1"), nullptr);
  for (const std::string_view target : {"../outside", "/etc/passwd", "data/../../x"}) {
    const auto link = directory / "bad";
    std::filesystem::create_symlink(target, link);
    EXPECT_THAT(matching(directory, {"."}),
                fails_with(ErrorCode::invalid_input, HasSubstr("leads out of")));
    EXPECT_THAT(matching(directory, {"current", "data"}), is_ok()) << "not asked for";
    std::filesystem::remove(link);
  }
}

TEST(AddMatching, SpecialFilesAreRefusedOnlyWhenTaken) {
  const test::TempDir directory;
  directory.write("a", "");
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(matching(directory, {"."}),
              fails_with(ErrorCode::invalid_input, HasSubstr("socket, pipe or device")));
  EXPECT_THAT(matching(directory, {"a"}), is_ok());
}

TEST(AddMatching, FileChangedAfterwardsIsNotPacked) {
  const test::TempDir directory;
  directory.write("a", "before");
  const layer::FileTree tree = unwrap(matching(directory, {"a"}));
  directory.write("a", "after!");
  std::string tar;
  StringWriter writer(tar);
  EXPECT_THAT(layer::write_tar(tree, writer),
              fails_with(ErrorCode::verification, HasSubstr("changed since the build began")));
}

TEST(AddPath, NamesTheEntryItself) {
  const test::TempDir directory;
  directory.write("model.h5", "m");
  directory.write("dir/x", "x");
  std::filesystem::create_symlink("model.h5", directory / "latest");
  layer::FileTree tree;
  ASSERT_THAT(add_path(directory / "model.h5", "/action/model.bin", {.uid = 7}, tree), is_ok());
  ASSERT_THAT(add_path(directory / "latest", "/action/latest", {.file_mode = 0600}, tree), is_ok());
  ASSERT_THAT(add_path(directory / "dir", "/opt/dir", {}, tree), is_ok());
  EXPECT_THAT(paths(tree), ElementsAre("action/", "action/latest", "action/model.bin", "opt/",
                                       "opt/dir/", "opt/dir/x"));
  EXPECT_EQ(tree.find("action/model.bin")->uid, 7U);
  EXPECT_EQ(tree.find("action")->uid, 0U);
  EXPECT_EQ(tree.find("action/latest")->mode, 0600U);
  EXPECT_THAT(add_path(directory / "missing", "/x", {}, tree), fails_with(ErrorCode::not_found));
  EXPECT_THAT(add_path(directory / "model.h5", "/", {}, tree),
              fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(add_path(directory / "model.h5", "/../x", {}, tree),
              fails_with(ErrorCode::invalid_input));
}

TEST(AddArchive, PutsEntriesBelowTheTarget) {
  const test::TempDir directory;
  layer::FileTree content;
  ASSERT_THAT(content.add({.path = "pkg/a", .mtime = 100, .content = memory_content("bytes", "x")}),
              is_ok());
  ASSERT_THAT(content.add({.path = "pkg/b", .type = layer::EntryType::hardlink, .link = "pkg/a"}),
              is_ok());
  std::string tar;
  StringWriter writer(tar);
  ASSERT_THAT(layer::write_tar(content, writer), is_ok());
  const auto file = directory.write("a.tar", tar);
  layer::FileTree tree;
  ASSERT_THAT(add_archive(file, "/opt", directory / "packs", 50, tree), is_ok());
  ASSERT_NE(tree.find("opt/pkg/a"), nullptr);
  EXPECT_EQ(tree.find("opt/pkg/a")->mtime, 50);
  EXPECT_EQ(tree.find("opt/pkg/b")->link, "opt/pkg/a");
  EXPECT_TRUE(tree.key().has_value());
}

}  // namespace
}  // namespace fnimage::source
