// The index and the resolver on small hand-made Packages files; apt as the oracle on the real one
// is in debian_network_test.cpp.
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

#include "debian/deb822.hpp"
#include "debian/resolver.hpp"

namespace fnimage::source::debian {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A paragraph with what every package has.
std::string package(std::string_view name, std::string_view fields = "",
                    std::string_view version = "1") {
  return fmt::format(
      "Package: {0}\nVersion: {1}\nArchitecture: amd64\n{2}Filename: pool/{0}_{1}.deb\nSize: "
      "1\nSHA256: {3}\n\n",
      name, version, fields, std::string(64, 'a'));
}

std::string table_bytes(const std::string& text) {
  std::string bytes;
  StringWriter out(bytes);
  PackageTableWriter writer(out, "amd64", "Packages");
  for (const Paragraph& paragraph : unwrap(parse_paragraphs(text, "Packages"))) {
    EXPECT_TRUE(writer.add(paragraph.text()).has_value());
  }
  EXPECT_TRUE(writer.finish().has_value());
  return bytes;
}

// Each text is a Packages file of its own, as of a suite.
PackageIndex index_of(const std::vector<std::string>& suites) {
  std::vector<PackageIndex::Part> parts;
  for (const std::string& text : suites) {
    const auto bytes = std::make_shared<const std::string>(table_bytes(text));
    parts.push_back({"stable", unwrap(PackageTable::open(*bytes, bytes))});
  }
  return {"amd64", std::move(parts)};
}

Result<Resolution> resolve(const std::string& text, const PackageRequest& request) {
  return resolve_packages(index_of({text}), request);
}

std::vector<std::string> versions(const PackageIndex& index, std::string_view name) {
  std::vector<std::string> result;
  for (const IndexedPackage& one : index.versions(name)) {
    result.push_back(fmt::format("{}@{}", one.version, one.origin));
  }
  return result;
}

std::vector<std::string> names(const Resolution& resolution) {
  std::vector<std::string> result;
  for (const DebianPackage& one : resolution.packages) {
    result.push_back(one.name + "=" + one.version);
  }
  return result;
}

std::vector<std::string> resolved(const std::string& text, const PackageRequest& request) {
  return names(unwrap(resolve(text, request)));
}

TEST(PackageIndex, PutsTheNewestOfAllSuitesFirst) {
  const PackageIndex index =
      index_of({package("b", "", "1") + package("a", "", "1.10") + package("a", "", "1.9"),
                package("a", "", "1.10") + package("a", "", "1:0")});
  EXPECT_THAT(versions(index, "a"), ElementsAre("1:0@1", "1.10@0", "1.10@1", "1.9@0"));
  EXPECT_THAT(versions(index, "b"), ElementsAre("1@0"));
  EXPECT_THAT(versions(index, "aa"), ElementsAre());
  EXPECT_THAT(index.names(), ElementsAre("a", "b"));
  EXPECT_EQ(index.candidate("c"), std::nullopt);
}

TEST(PackageIndex, OnlyNewestPackagesProvide) {
  const PackageIndex index =
      index_of({package("z", "Provides: v (= 2), w\n") + package("a", "Provides: v\n", "1"),
                package("a", "", "2") + package("m", "Provides: v\n") + package("v")});
  std::vector<std::string> found;
  for (const Provider& provider : index.providers("v")) {
    found.push_back(fmt::format("{} {}", provider.package.name, provider.version));
  }
  EXPECT_THAT(found, ElementsAre("m ", "z 2"));
}

TEST(PackageIndex, OnlyNewestVersionsAreEssential) {
  const PackageIndex index =
      index_of({package("tar", "Essential: yes\n") + package("old", "Essential: yes\n"),
                package("old", "", "2") + package("dash", "Essential: yes\n")});
  std::vector<std::string_view> found;
  for (const IndexedPackage& one : index.essential()) {
    found.push_back(one.name);
  }
  EXPECT_THAT(found, ElementsAre("dash", "tar"));
}

TEST(PackageTable, RefusesWhatHasNoPackage) {
  std::string bytes;
  StringWriter out(bytes);
  PackageTableWriter writer(out, "amd64", "bookworm main");
  EXPECT_THAT(writer.add("Package: a\nDepends: b\n"),
              fails_with(ErrorCode::invalid_input, HasSubstr("bookworm main: paragraph 1")));
}

// The cache is this machine's own, but disks and power fail.
TEST(PackageTable, DamageIsRefusedOrFindsNothing) {
  const std::string whole = table_bytes(package("a", "Provides: v\n") + package("b"));
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    EXPECT_FALSE(PackageTable::open(std::string_view(whole).substr(0, cut), nullptr).has_value());
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char damage : {'\0', '\xff', '\x7f'}) {
      std::string bytes = whole;
      bytes[i] = damage;
      if (const auto table = PackageTable::open(bytes, nullptr)) {
        std::vector<IndexedPackage> packages;
        std::vector<Provider> providers;
        table->versions("a", 0, packages);
        table->providers("v", 0, providers);
        table->essential(0, packages);
      }
    }
  }
}

TEST(Resolver, PutsDependenciesFirst) {
  const std::string index =
      package("a", "Depends: b, c\n") + package("b", "Pre-Depends: c\n") + package("c");
  EXPECT_THAT(resolved(index, {.packages = {"a"}}), ElementsAre("c=1", "b=1", "a=1"));
}

TEST(Resolver, SurvivesCycles) {
  const std::string index = package("a", "Depends: b\n") + package("b", "Depends: a\n");
  EXPECT_THAT(resolved(index, {.packages = {"b"}}), ElementsAre("b=1", "a=1"));
}

TEST(Resolver, TakesTheFirstAlternativeUnlessAnotherIsThere) {
  const std::string index = package("a", "Depends: x | y\n") + package("x") + package("y");
  EXPECT_THAT(resolved(index, {.packages = {"a"}}), ElementsAre("x=1", "a=1"));
  EXPECT_THAT(resolved(index, {.packages = {"a", "y"}}), ElementsAre("y=1", "a=1"));
}

TEST(Resolver, SkipsAnAlternativeThatDoesNotSatisfyOrConflicts) {
  const std::string index = package("a", "Depends: x (>= 2) | y | z\n") + package("x") +
                            package("y", "Conflicts: b\n") + package("z") + package("b");
  EXPECT_THAT(resolved(index, {.packages = {"b", "a"}}), ElementsAre("z=1", "a=1", "b=1"));
}

TEST(Resolver, ChoosesProvidersByPriorityAndName) {
  const std::string index = package("a", "Depends: awk\n") +
                            package("gawk", "Provides: awk\nPriority: optional\n") +
                            package("mawk", "Provides: awk\nPriority: required\n");
  EXPECT_THAT(resolved(index, {.packages = {"a"}}), ElementsAre("mawk=1", "a=1"));
}

TEST(Resolver, VersionedDependenciesNeedVersionedProvides) {
  const std::string index =
      package("a", "Depends: api (>= 3)\n") + package("p1", "Provides: api\n") +
      package("p2", "Provides: api (= 2)\n") + package("p3", "Provides: api (= 3)\n");
  EXPECT_THAT(resolved(index, {.packages = {"a"}}), ElementsAre("p3=1", "a=1"));
}

TEST(Resolver, TakesTheNewestVersionOrTheOneAskedFor) {
  const std::string index =
      package("a", "", "1.9") + package("a", "", "1.10") + package("a", "", "1.10~rc1");
  EXPECT_THAT(resolved(index, {.packages = {"a"}}), ElementsAre("a=1.10"));
  EXPECT_THAT(resolved(index, {.packages = {"a=1.9"}}), ElementsAre("a=1.9"));
  EXPECT_THAT(resolve(index, {.packages = {"a=2"}}),
              fails_with(ErrorCode::not_found, HasSubstr("1.10")));
}

TEST(Resolver, ExcludedPackagesCountAsThere) {
  const std::string index = package("a", "Depends: big | small\n") +
                            package("big", "Depends: huge\n") + package("small") + package("huge");
  const auto resolution = unwrap(
      resolve(index, {.packages = {"a"}, .exclude = {{"big", "build-time only"}, {"other", "?"}}}));
  EXPECT_THAT(names(resolution), ElementsAre("a=1"));
  EXPECT_THAT(resolution.unused_excludes, ElementsAre("other"));
  EXPECT_THAT(resolve(index, {.packages = {"big"}, .exclude = {{"big", ""}}}),
              fails_with(ErrorCode::invalid_argument));
}

TEST(Resolver, AddsTheBaseAndTheEssential) {
  const std::string index = package("a") + package("base-files") + package("base-passwd") +
                            package("tar", "Essential: yes\n");
  EXPECT_THAT(resolved(index, {.packages = {"a"}}),
              ElementsAre("a=1", "base-files=1", "base-passwd=1"));
  EXPECT_THAT(resolved(index, {.packages = {"a"}, .essential = true}),
              ElementsAre("a=1", "base-files=1", "base-passwd=1", "tar=1"));
}

TEST(Resolver, ExplainsFailures) {
  const std::string index = package("a", "Depends: b\n") + package("b", "Depends: c (>= 2)\n") +
                            package("c") + package("d", "Breaks: c (<< 5)\n") +
                            package("e", "Depends: c\n");
  EXPECT_THAT(
      resolve(index, {.packages = {"a"}}),
      fails_with(ErrorCode::invalid_input, AllOf(HasSubstr("c (>= 2)"), HasSubstr("a -> b"))));
  EXPECT_THAT(resolve(index, {.packages = {"d", "e"}}),
              fails_with(ErrorCode::invalid_input,
                         AllOf(HasSubstr("cannot be installed together"), HasSubstr("e -> c"))));
  const auto unknown = resolve(package("python3-numpy"), {.packages = {"python3-nunpy"}});
  EXPECT_THAT(unknown, fails_with(ErrorCode::not_found));
  EXPECT_THAT(unknown.error().hint(), HasSubstr("python3-numpy"));
}

TEST(Resolver, RefusesPathsThatLeaveTheMirror) {
  const std::string index =
      "Package: a\nVersion: 1\nArchitecture: all\nFilename: ../../etc/passwd\nSize: 1\nSHA256: " +
      std::string(64, 'a') + "\n";
  EXPECT_THAT(resolve(index, {.packages = {"a"}}), fails_with(ErrorCode::invalid_input));
}

}  // namespace
}  // namespace fnimage::source::debian
