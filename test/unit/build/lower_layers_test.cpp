// Fitting a layer onto what lies below: links are followed, directories keep their metadata.
#include "lower_layers.hpp"

#include <fnimage/test/result_matchers.hpp>

namespace fnimage::build {
namespace {

using layer::EntryType;
using layer::FileTree;
using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

FileTree tree_with_file(std::string path) {
  FileTree tree;
  unwrap(tree.add({.path = std::move(path), .mtime = 5}));
  return tree;
}

/// A system with a merged /usr and a staff-owned /usr/local.
LowerLayers debian() {
  FileTree tree;
  unwrap(tree.add({.path = "usr/bin", .type = EntryType::directory, .mode = 0755}));
  unwrap(tree.add({.path = "bin", .type = EntryType::symlink, .link = "usr/bin"}));
  unwrap(tree.add({.path = "run", .type = EntryType::directory, .mode = 0755}));
  unwrap(tree.add({.path = "var/run", .type = EntryType::symlink, .link = "/run"}));
  unwrap(
      tree.add({.path = "usr/local/bin", .type = EntryType::directory, .mode = 02775, .gid = 50}));
  LowerLayers lower(false, 0);
  unwrap(lower.add(tree));
  return lower;
}

TEST(LowerLayers, FollowsLinksOfDirectories) {
  const LowerLayers lower = debian();
  FileTree fitted = unwrap(lower.fit(tree_with_file("bin/solver")));
  EXPECT_NE(fitted.find("usr/bin/solver"), nullptr);
  EXPECT_EQ(fitted.find("bin"), nullptr);
  fitted = unwrap(lower.fit(tree_with_file("var/run/x/y")));
  EXPECT_NE(fitted.find("run/x/y"), nullptr);
  EXPECT_EQ(fitted.find("var/run"), nullptr);
}

TEST(LowerLayers, DirectoriesBelowKeepTheirMetadata) {
  const FileTree fitted = unwrap(debian().fit(tree_with_file("usr/local/bin/solver")));
  EXPECT_EQ(fitted.find("usr/local/bin")->mode, 02775U);
  EXPECT_EQ(fitted.find("usr/local/bin")->gid, 50U);
}

TEST(LowerLayers, KnownDirectoriesKeepTheirModes) {
  const LowerLayers nothing(false, 9);
  const FileTree fitted = unwrap(nothing.fit(tree_with_file("tmp/model/x")));
  EXPECT_EQ(fitted.find("tmp")->mode, 01777U);
  EXPECT_EQ(fitted.find("tmp")->mtime, 9);
  EXPECT_EQ(fitted.find("tmp/model")->mode, 0755U);
}

TEST(LowerLayers, AFileReplacesALink) {
  LowerLayers lower = debian();
  const FileTree fitted = unwrap(lower.fit(tree_with_file("bin")));
  EXPECT_EQ(fitted.find("bin")->type, EntryType::file);
}

TEST(LowerLayers, UnknownBaseRefusesTopLevelLinks) {
  const LowerLayers unknown(true, 0);
  EXPECT_THAT(unknown.fit(tree_with_file("lib64/x.so")),
              fails_with(ErrorCode::unsupported, HasSubstr("/lib64")));
  EXPECT_NE(unwrap(unknown.fit(tree_with_file("usr/lib/x.so"))).find("usr/lib/x.so"), nullptr);
}

}  // namespace
}  // namespace fnimage::build
