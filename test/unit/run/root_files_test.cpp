// What an image's files become before they are written: the places that are mounted over, and the
// image's user.
#include "root_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/check/image_files.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "port.hpp"
#include "process.hpp"

namespace fnimage::run {
namespace {

using layer::Entry;
using layer::EntryType;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Entry text_file(std::string path, std::string text) {
  return {.path = std::move(path), .content = memory_content(std::move(text))};
}

Entry symlink(std::string path, std::string target) {
  return {.path = std::move(path), .type = EntryType::symlink, .link = std::move(target)};
}

check::ImageFiles layers(const std::vector<std::vector<Entry>>& all) {
  check::ImageFiles files;
  for (const std::vector<Entry>& entries : all) {
    files.add_layer("layer", entries);
  }
  return files;
}

TEST(RootFiles, WhatIsMountedOverIsNoLinkOfTheImages) {
  const auto entries =
      unwrap(root_files(layers({{symlink("proc", "/etc"), symlink("tmp", "../../../tmp"),
                                 symlink("dev", "/home"), text_file("home/null", "x")}})));
  for (const char* path : {"proc", "tmp", "dev", "dev/shm"}) {
    ASSERT_TRUE(entries.contains(path)) << path;
    EXPECT_EQ(entries.at(path).type, EntryType::directory) << path;
  }
  EXPECT_EQ(entries.at("dev/null").type, EntryType::file);
  EXPECT_EQ(entries.at("dev/null").size(), 0U);
  const auto old = unwrap(root_files(layers({{text_file("dev/sda", ""), text_file("tmp/x", "")}})));
  EXPECT_FALSE(old.contains("dev/sda"));
  EXPECT_FALSE(old.contains("tmp/x"));
}

TEST(RootFiles, HardLinksStay) {
  const auto entries =
      unwrap(root_files(layers({{text_file("a", "x"),
                                 {.path = "b", .type = EntryType::hardlink, .link = "a"},
                                 text_file("c", "x")}})));
  EXPECT_EQ(entries.at("b").type, EntryType::hardlink);
  EXPECT_EQ(entries.at("b").link, "a");
  EXPECT_EQ(entries.at("c").type, EntryType::file);
}

TEST(RootFiles, NamesOfHostsGoThroughNoLink) {
  const auto entries = unwrap(root_files(
      layers({{symlink("etc/resolv.conf", "/usr/x"), text_file("usr/x", "of the image")}})));
  EXPECT_EQ(entries.at("usr/x").size(), 12U);
  EXPECT_NE(entries.at("etc/hosts").type, EntryType::symlink);
}

TEST(RootFiles, LayersThatNoRuntimeUnpacksAreRefused) {
  EXPECT_THAT(root_files(layers({{{.path = "b", .type = EntryType::hardlink, .link = "a"}}})),
              fails_with(ErrorCode::invalid_input, HasSubstr("no runtime")));
}

TEST(ResolveUser, ByNumberAndByName) {
  const check::ImageFiles files =
      layers({{text_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/srv:/bin/sh\n"),
               text_file("etc/group", "staff:x:50:\n")}});
  const auto resolve = [&](std::string_view user) {
    const ImageUser found = unwrap(resolve_user(files, user));
    return std::tuple(found.uid, found.gid, found.home);
  };
  EXPECT_EQ(resolve(""), std::tuple(0U, 0U, "/root"));
  EXPECT_EQ(resolve("1000:1001"), std::tuple(1000U, 1001U, "/"));
  EXPECT_EQ(resolve("7"), std::tuple(7U, 8U, "/srv"));
  EXPECT_EQ(resolve("app"), std::tuple(7U, 8U, "/srv"));
  EXPECT_EQ(resolve("app:staff"), std::tuple(7U, 50U, "/srv"));
  EXPECT_THAT(resolve_user(files, "nobody"),
              fails_with(ErrorCode::invalid_input, HasSubstr("'nobody' in /etc/passwd")));
  EXPECT_THAT(resolve_user(files, "app:wheel"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(resolve_user(files, "-1"), fails_with(ErrorCode::invalid_input));
  EXPECT_EQ(unwrap(resolve_user(layers({}), "1000")).uid, 1000U);
}

TEST(Program, IsLookedUpInThePath) {
  EXPECT_THAT(program_candidates("python3", "/a::/b:c"), ElementsAre("/a/python3", "/b/python3"));
  EXPECT_THAT(program_candidates("bin/x", "/a"), ElementsAre("bin/x"));
  std::vector<std::string> variables{"A=1", "AB=2"};
  set_variables({"A=3"}, variables);
  EXPECT_THAT(variables, ElementsAre("AB=2", "A=3"));
}

}  // namespace
}  // namespace fnimage::run
