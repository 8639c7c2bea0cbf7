// Lock files as text, and what is said about locked packages.
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/build/lock.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "build_fixture.hpp"
#include "lock_file.hpp"
#include "lock_report.hpp"

namespace fnimage::build {
namespace {

using source::DebianPackage;
using source::PackageSet;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

DebianPackage locked(const std::string& name, const std::string& version,
                     const std::string& architecture) {
  return {.name = name,
          .version = version,
          .architecture = architecture,
          .suite = "bookworm",
          .file = fmt::format("pool/{}_{}_{}.deb", name, version, architecture),
          .sha256 = manifest::Digest::of(name + version + architecture),
          .size = 10};
}

PackageLock two_platforms() {
  PackageLock lock{.request = {.release = "bookworm", .components = {"main"}, .packages = {"a"}},
                   .sets = {{.platform = platform("linux/amd64"), .packages = {}},
                            {.platform = platform("linux/ppc64le"), .packages = {}}}};
  lock.sets[0].packages = {locked("aa", "1:1.0", "amd64"), locked("bb", "2", "all"),
                           locked("only", "3", "all")};
  lock.sets[1].packages = {locked("aa", "1:1.0", "ppc64el"), locked("bb", "2", "all")};
  return lock;
}

std::vector<std::string> contents_of(const PackageSet& set) {
  std::vector<std::string> result;
  for (const DebianPackage& package : set.packages) {
    result.push_back(fmt::format("{}={}:{} {}", package.name, package.version, package.architecture,
                                 package.sha256.str()));
  }
  return result;
}

TEST(LockFile, SaysTheSameWhenReadBack) {
  const PackageLock lock = two_platforms();
  const std::string text = emit_lock(lock);
  const PackageLock read = unwrap(parse_lock(text, "fnimage.lock"));
  EXPECT_EQ(read.request, lock.request);
  ASSERT_THAT(read.sets, SizeIs(2));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.sets[i].platform, lock.sets[i].platform);
    EXPECT_EQ(contents_of(read.sets[i]), contents_of(lock.sets[i]));
  }
  EXPECT_EQ(emit_lock(read), text);
}

TEST(LockFile, HasALineForEachPackageHoweverManyPlatformsItIsFor) {
  const std::string text = emit_lock(two_platforms());
  EXPECT_THAT(text, HasSubstr("    {\"name\":\"bb\",\"version\":\"2\",\"arch\":\"all\","));
  EXPECT_EQ(text.find("\"name\":\"bb\""), text.rfind("\"name\":\"bb\""));
  EXPECT_THAT(text, HasSubstr("\"platforms\":[\"linux/amd64\"]}"));  // "only" is not for both
}

TEST(LockFile, DoesNotDependOnTheOrderOfResolution) {
  PackageLock lock = two_platforms();
  const std::string text = emit_lock(lock);
  std::ranges::reverse(lock.sets[0].packages);
  EXPECT_EQ(emit_lock(lock), text);
}

TEST(LockFile, ChangedTextIsAnErrorOrAnotherLockButNeverACrash) {
  const std::string text = emit_lock(two_platforms());
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed,cert-msc*): the same every time
  for (int i = 0; i < 5000; ++i) {
    std::string changed = text;
    for (int edits = 0; edits < 3; ++edits) {
      changed[random() % changed.size()] = static_cast<char>(random() % 256);
    }
    const auto lock =
        parse_lock(changed.substr(0, random() % 8 == 0 ? random() % text.size() : text.size()),
                   "fnimage.lock");
    if (lock) {
      EXPECT_THAT(parse_lock(emit_lock(*lock), "again"), test::is_ok());
    }
  }
}

TEST(LockFile, HoldsForOneRequestOnly) {
  const PackageLock lock = two_platforms();
  EXPECT_THAT(require_current(lock, lock.request, "x.lock"), test::is_ok());
  LockedRequest other = lock.request;
  other.packages = {"a", "c"};
  EXPECT_THAT(require_current(lock, other, "x.lock"),
              fails_with(ErrorCode::invalid_input, HasSubstr("asks for c")));
  other = lock.request;
  other.exclude = {"b"};
  EXPECT_THAT(require_current(lock, other, "x.lock"),
              fails_with(ErrorCode::invalid_input, HasSubstr("excludes b")));
  other = lock.request;
  other.snapshot = "20260131T000000Z";
  EXPECT_THAT(require_current(lock, other, "x.lock"),
              fails_with(ErrorCode::invalid_input, HasSubstr("other sources")));
}

TEST(LockReport, SkewIsToldFromRebuilds) {
  std::vector<PackageSet> sets{{platform("linux/amd64"), {}}, {platform("linux/ppc64le"), {}}};
  sets[0].packages = {locked("rebuilt", "1.0-1", "amd64"), locked("same", "1", "all"),
                      locked("newer", "1.1", "amd64"), locked("alone", "1", "amd64")};
  sets[1].packages = {locked("rebuilt", "1.0-1+b2", "ppc64el"), locked("same", "1", "all"),
                      locked("newer", "1.0", "ppc64el")};
  const auto skew = skew_of(sets);
  ASSERT_THAT(skew, SizeIs(3));
  EXPECT_EQ(skew[0].name, "alone");
  EXPECT_TRUE(skew[0].partial);
  EXPECT_FALSE(skew[0].rebuild);
  EXPECT_EQ(skew[1].name, "newer");
  EXPECT_FALSE(skew[1].partial);
  EXPECT_FALSE(skew[1].rebuild);
  EXPECT_THAT(skew[1].versions,
              ElementsAre(Pair("linux/amd64", "1.1"), Pair("linux/ppc64le", "1.0")));
  EXPECT_EQ(skew[2].name, "rebuilt");
  EXPECT_TRUE(skew[2].rebuild);
}

TEST(LockReport, OneChangeOnSeveralPlatformsIsOne) {
  std::vector<PackageSet> old{{platform("linux/amd64"), {locked("a", "1", "amd64")}},
                              {platform("linux/ppc64le"), {locked("a", "1", "ppc64el")}}};
  std::vector<PackageSet> now = old;
  EXPECT_THAT(changes_between(old, now), IsEmpty());
  now[0].packages = {locked("a", "2", "amd64")};
  now[1].packages = {locked("a", "2", "ppc64el"), locked("b", "1", "all")};
  const auto changes = changes_between(old, now);
  ASSERT_THAT(changes, SizeIs(2));
  EXPECT_EQ(changes[0].from, "1");
  EXPECT_EQ(changes[0].to, "2");
  EXPECT_THAT(changes[0].platforms, ElementsAre("linux/amd64", "linux/ppc64le"));
  EXPECT_EQ(changes[1].from, "");
  EXPECT_THAT(changes[1].platforms, ElementsAre("linux/ppc64le"));
}

// root -> {left, right} -> shared; left -> own
TEST(Explain, SavesWhatNothingElseNeeds) {
  PackageSet set{platform("linux/amd64"), {}};
  const auto add = [&](const std::string& name, const std::string& wanted_by,
                       std::vector<std::string> needs) {
    DebianPackage package = locked(name, "1", "all");
    package.installed_size = 100;
    package.wanted_by = wanted_by;
    package.needs = std::move(needs);
    set.packages.push_back(package);
  };
  add("root", "", {"left", "right"});
  add("left", "root", {"own", "shared"});
  add("right", "root", {"shared"});
  add("own", "left", {});
  add("shared", "left", {});
  std::map<std::string, PackageReason> reasons;
  for (PackageReason& reason : explain(set)) {
    reasons.emplace(reason.name, reason);
  }
  EXPECT_EQ(reasons["root"].saves, 500U);
  EXPECT_EQ(reasons["left"].saves, 200U);
  EXPECT_EQ(reasons["left"].saves_packages, 2U);
  EXPECT_EQ(reasons["right"].saves, 100U);
  EXPECT_EQ(reasons["shared"].saves, 100U);
  EXPECT_THAT(reasons["own"].chain, ElementsAre("root", "left"));
  EXPECT_THAT(reasons["root"].chain, IsEmpty());
}

}  // namespace
}  // namespace fnimage::build
