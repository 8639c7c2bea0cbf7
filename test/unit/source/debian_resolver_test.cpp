// The resolver on small hand-made indexes; apt as the oracle on the real one is in
// debian_network_test.cpp.
#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

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

Result<Resolution> resolve(const std::string& text, const PackageRequest& request) {
  FNIMAGE_TRY(const auto index,
              PackageIndex::build("amd64", {{"http://mirror.example/debian", text, nullptr}}));
  return resolve_packages(*index, request);
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
