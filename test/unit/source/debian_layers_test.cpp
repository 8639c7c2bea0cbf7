// Which packages share a layer, and how the finished image is cut.
#include <algorithm>

#include <gmock/gmock.h>

#include <fnimage/test/result_matchers.hpp>

#include "debian/layers.hpp"

namespace fnimage::source::debian {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;

struct Packages {
  std::vector<DebianPackage> packages{};
  std::vector<UnpackedPackage> unpacked{};

  void add(const std::string& name, const std::string& fields, std::string architecture = "amd64",
           std::string suite = "bookworm") {
    packages.push_back({.name = name,
                        .version = "1",
                        .architecture = std::move(architecture),
                        .suite = std::move(suite),
                        .file = "",
                        .sha256 = manifest::Digest::of(name),
                        .size = 1});
    unpacked.push_back({.control = {{"control", "Package: " + name + "\n" + fields}}});
  }

  /// Names of the layers that a file of each package goes to.
  std::vector<std::string> layers(const AssembleOptions& options) {
    const auto chosen = unwrap(choose_layers(packages, unpacked, "bookworm", options));
    Layout layout;
    for (std::size_t i = 0; i < packages.size(); ++i) {
      EXPECT_THAT(layout.tree.add({.path = packages[i].name}), is_ok());
      layout.owners[packages[i].name] = i;
    }
    const auto trees = unwrap(split_layers(std::move(layout), chosen));
    std::vector<std::string> names;
    for (const DebianPackage& package : packages) {
      const auto in = std::ranges::find_if(
          trees, [&](const NamedTree& one) { return one.tree.find(package.name) != nullptr; });
      names.push_back(in == trees.end() ? "nowhere" : in->name);
    }
    return names;
  }
};

TEST(Layers, FollowWhatChangesTogether) {
  Packages set;
  set.add("libc6", "Depends: libgcc-s1\n");
  set.add("libgcc-s1", "");
  set.add("python3-minimal", "Pre-Depends: python-core (>= 1)\nDepends: libc6, nothing | libz\n");
  set.add("core", "Provides: python-core (= 2)\n");
  set.add("libz", "");
  set.add("python3-data", "Depends: python3-minimal, libz\n", "all");
  set.add("bash", "Essential: yes\n");
  set.add("site", "Depends: site-data\n", "amd64", "");
  set.add("site-data", "", "all", "vendor");
  set.add("update", "", "amd64", "bookworm-security");
  set.add("other", "", "amd64", "bookworm2");
  EXPECT_THAT(
      set.layers({.runtime_packages = {"python3-minimal"}}),
      ElementsAre("base", "base", "interpreter", "interpreter", "interpreter", "packages-all",
                  "packages", "own-packages", "own-packages-all", "packages", "own-packages"));
}

TEST(Layers, EssentialPackagesAreTheBaseWhereAllOfThemWereAskedFor) {
  Packages set;
  set.add("bash", "Essential: yes\nPre-Depends: libtinfo6\nDepends: debianutils\n");
  set.add("libtinfo6", "");
  set.add("debianutils", "", "all");
  set.add("python3-minimal", "Depends: libtinfo6\n");
  EXPECT_THAT(set.layers({.essential = true, .runtime_packages = {"python3-minimal"}}),
              ElementsAre("base", "base", "base-all", "interpreter"));
}

// What makes layers worth having: another function's packages leave the lower ones as they are.
TEST(Layers, DoNotDependOnWhatElseIsInstalled) {
  Packages small;
  small.add("libc6", "");
  small.add("python3-minimal", "Depends: libc6\n");
  Packages large = small;
  large.add("a-library", "Depends: python3-minimal\n");
  const AssembleOptions options{.runtime_packages = {"python3-minimal"}};
  const auto first = small.layers(options);
  auto second = large.layers(options);
  second.pop_back();
  EXPECT_EQ(first, second);
}

// One platform's additions do not take the layers apart that it has in common with the others.
TEST(Layers, WhatIsNotOnEveryPlatformIsNotInTheLayersForAll) {
  Packages set;
  set.add("python3-data", "", "all");
  set.add("only-here", "", "all");
  set.add("compiled", "");
  EXPECT_THAT(set.layers({.common_packages = {{"python3-data", "compiled"}}}),
              ElementsAre("packages-all", "packages", "packages"));
  const auto layers = unwrap(choose_layers(set.packages, set.unpacked, "bookworm",
                                           {.common_packages = {{"python3-data", "compiled"}}}));
  EXPECT_EQ(layers.bytecode[0], layers.bytecode[2]);
  EXPECT_EQ(layers.bytecode[1], layers.files[1]);
}

TEST(Layers, ABrokenDependencyIsAnError) {
  Packages set;
  set.add("libc6", "Depends: (((\n");
  EXPECT_THAT(choose_layers(set.packages, set.unpacked, "bookworm", {}),
              fails_with(ErrorCode::invalid_input, ::testing::HasSubstr("libc6")));
}

struct Cut {
  Layout layout{};

  void add(layer::Entry entry, std::optional<std::size_t> owner) {
    if (owner) {
      layout.owners[entry.path] = *owner;
    }
    EXPECT_THAT(layout.tree.add(std::move(entry)), is_ok());
  }
  std::vector<NamedTree> run() {
    const PackageLayers layers{.files = {0, 1}, .bytecode = {2, 2}};  // base-all, base
    return unwrap(split_layers(std::move(layout), layers));
  }
};

TEST(Layers, DirectoriesHaveTheirModeInEveryLayer) {
  Cut cut;
  cut.add({.path = "srv", .type = layer::EntryType::directory, .mode = 02775, .gid = 8}, 1);
  cut.add({.path = "srv/all"}, 0);
  cut.add({.path = "srv/made"}, std::nullopt);
  cut.add({.path = "home", .type = layer::EntryType::directory, .mode = 0755}, std::nullopt);
  const auto trees = cut.run();
  ASSERT_EQ(trees.size(), 3U);
  for (const NamedTree& one : trees) {
    ASSERT_NE(one.tree.find("srv"), nullptr) << one.name;
    EXPECT_EQ(one.tree.find("srv")->mode, 02775U) << one.name;
    EXPECT_EQ(one.tree.find("srv")->gid, 8U) << one.name;
  }
  EXPECT_EQ(trees[2].name, "configuration");
  EXPECT_NE(trees[2].tree.find("home"), nullptr);
  EXPECT_EQ(trees[0].tree.find("home"), nullptr);
}

TEST(Layers, AHardLinkDoesNotLeaveItsLayer) {
  Cut cut;
  cut.add({.path = "a", .content = memory_content("text", "id")}, 0);
  cut.add({.path = "same", .type = layer::EntryType::hardlink, .link = "a"}, 0);
  cut.add({.path = "other", .type = layer::EntryType::hardlink, .link = "a"}, 1);
  const auto trees = cut.run();
  ASSERT_EQ(trees.size(), 2U);
  EXPECT_EQ(trees[0].tree.find("same")->type, layer::EntryType::hardlink);
  EXPECT_EQ(trees[1].tree.find("other")->type, layer::EntryType::file);
  EXPECT_EQ(trees[1].tree.find("other")->content->id(), "id");
}

}  // namespace
}  // namespace fnimage::source::debian
