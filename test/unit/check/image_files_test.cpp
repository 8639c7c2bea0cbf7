// Layers laid over each other: whiteouts, links, what hides what.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/check/image_files.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "support.hpp"

namespace fnimage::check {
namespace {

using ::testing::ElementsAre;

ImageFiles files_of(const std::vector<LayerOf>& layers) {
  ImageFiles files;
  for (const LayerOf& layer : layers) {
    files.add_layer("layer", layer.entries());
  }
  return files;
}

std::string text_at(const ImageFiles& files, std::string_view path) {
  const auto found = files.resolve(path);
  if (!found) {
    return "nothing";
  }
  if (!found->node->entry.content) {
    return "";
  }
  return test::unwrap(read_all(*test::unwrap(found->node->entry.content->open()), 100));
}

std::vector<std::string> paths(const ImageFiles& files) {
  std::vector<std::string> all;
  for (const auto& [path, node] : files.nodes()) {
    all.push_back(path);
  }
  return all;
}

TEST(ImageFiles, UpperLayersReplace) {
  const ImageFiles files = files_of(
      {LayerOf().file("etc/x", "low").file("etc/y", "low"), LayerOf().file("etc/x", "high")});
  EXPECT_EQ(text_at(files, "/etc/x"), "high");
  EXPECT_EQ(text_at(files, "etc/y"), "low");
  EXPECT_EQ(files.find("etc/x")->layer, 1U);
  EXPECT_EQ(files.find("etc/y")->layer, 0U);
}

TEST(ImageFiles, WhiteoutsHideWhatIsBelow) {
  const ImageFiles files =
      files_of({LayerOf().file("a/x", "1").file("a/y", "1").file("b/deep/z", "1"),
                LayerOf().file("a/.wh.x", "").file("a/new", "2").file("b/.wh.deep", "")});
  EXPECT_THAT(paths(files), ElementsAre("a", "a/new", "a/y", "b"));
}

TEST(ImageFiles, OpaqueDirectoriesHideOnlyWhatIsBelow) {
  const ImageFiles files =
      files_of({LayerOf().file("a/x", "1").file("a/sub/y", "1"),
                LayerOf().file("a/first", "2").file("a/.wh..wh..opq", "").file("a/last", "2")});
  EXPECT_THAT(paths(files), ElementsAre("a", "a/first", "a/last"));
}

TEST(ImageFiles, FilesReplaceDirectoriesAndTheirContent) {
  EXPECT_THAT(paths(files_of({LayerOf().file("a/b/c", "1"), LayerOf().file("a/b", "2")})),
              ElementsAre("a", "a/b"));
  EXPECT_THAT(paths(files_of({LayerOf().file("a", "1"), LayerOf().file("a/b", "2")})),
              ElementsAre("a", "a/b"));
}

TEST(ImageFiles, LinksOfLowerLayersAreFollowed) {
  const ImageFiles files = files_of(
      {LayerOf().link("lib", "usr/lib").directory("usr/lib"), LayerOf().file("lib/libx.so", "x")});
  EXPECT_NE(files.find("usr/lib/libx.so"), nullptr);
  EXPECT_EQ(text_at(files, "/lib/libx.so"), "x");
}

TEST(ImageFiles, DirectoriesReplaceLinks) {
  const ImageFiles files = files_of({LayerOf().link("lib", "usr/lib").file("usr/lib/old", "1"),
                                     LayerOf().directory("lib").file("lib/new", "2")});
  EXPECT_EQ(text_at(files, "lib/old"), "nothing");
  EXPECT_EQ(text_at(files, "lib/new"), "2");
}

TEST(ImageFiles, ResolvesLinksInsideTheImage) {
  const ImageFiles files = files_of({LayerOf()
                                         .file("usr/lib/x.so.1.2", "x")
                                         .link("usr/lib/x.so.1", "x.so.1.2")
                                         .link("abs", "/usr/lib/x.so.1")
                                         .link("usr/up", "../../../usr/./lib//x.so.1")
                                         .link("loop", "loop")
                                         .link("dangling", "nowhere")});
  for (const char* path : {"abs", "/abs", "usr/up", "usr/lib/../lib/x.so.1"}) {
    EXPECT_EQ(text_at(files, path), "x") << path;
  }
  EXPECT_EQ(files.resolve("abs")->path, "usr/lib/x.so.1.2");
  EXPECT_FALSE(files.resolve("loop"));
  EXPECT_FALSE(files.resolve("dangling"));
  EXPECT_FALSE(files.resolve("usr/lib/x.so.1/more")) << "a file has nothing below";
  EXPECT_FALSE(files.resolve(""));
}

TEST(ImageFiles, HardLinksAreTheFile) {
  const ImageFiles files = files_of({LayerOf().file("a", "x", 0755).hard_link("b", "a"),
                                     LayerOf().hard_link("c", "b").hard_link("d", "nowhere")});
  EXPECT_EQ(text_at(files, "c"), "x");
  EXPECT_EQ(files.find("b")->entry.mode, 0755U);
  EXPECT_EQ(files.find("d"), nullptr);
  EXPECT_THAT(files.broken_links(), ElementsAre("d"));
}

TEST(ImageFiles, WhereADirectoryLeadsMayChangeWithinALayer) {
  const ImageFiles files = files_of({LayerOf()
                                         .file("d/one", "1")
                                         .link("d", "e")
                                         .directory("e")
                                         .file("d/two", "2")
                                         .directory("d")
                                         .file("d/three", "3")});
  EXPECT_THAT(paths(files), ElementsAre("d", "d/three", "e", "e/two"));
}

TEST(ImageFiles, PathsWithoutEndAreLeftOut) {
  std::string deep = "a";
  for (int i = 0; i < 255; ++i) {
    deep += "/a";
  }
  const ImageFiles whole = files_of({LayerOf().file(deep + "/x", "1")});
  EXPECT_FALSE(whole.has_too_deep());
  EXPECT_EQ(text_at(whole, deep + "/x"), "1");
  const ImageFiles cut = files_of({LayerOf().file(deep + "/a/x", "1").file("b", "2")});
  EXPECT_TRUE(cut.has_too_deep());
  EXPECT_THAT(paths(cut), ElementsAre("b"));
}

TEST(ImageFiles, TreesAreLayersToo) {
  layer::FileTree tree;
  test::unwrap(tree.add({.path = "z", .content = memory_content("x")}));
  test::unwrap(tree.add({.path = "a", .type = layer::EntryType::hardlink, .link = "z"}));
  ImageFiles files;
  files.add_layer("one", tree);
  EXPECT_EQ(text_at(files, "a"), "x") << "though it comes before its target";
}

}  // namespace
}  // namespace fnimage::check
