// Control paragraphs, versions and package relations. Version cases follow Debian Policy 5.6.12.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/result_matchers.hpp>

#include "debian/deb822.hpp"
#include "debian/dependency.hpp"
#include "debian/version.hpp"

namespace fnimage::source::debian {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Deb822, ReadsFieldsAndContinuations) {
  const auto paragraphs = unwrap(parse_paragraphs(
      "Package: a\nDescription: first\n second\n .\n third\n\n\nPackage: b\nversion:1\n",
      "control"));
  ASSERT_EQ(paragraphs.size(), 2U);
  EXPECT_EQ(paragraphs[0].get("description"), "first\n second\n .\n third");
  EXPECT_EQ(paragraphs[1].get("Version"), "1");
  EXPECT_FALSE(paragraphs[1].has("Depends"));
}

TEST(Deb822, CommentsAreNoValues) {
  const auto paragraphs = unwrap(
      parse_paragraphs("Types: deb\n# a remark\nURIs: http://mirror.example/a\n", "x.sources"));
  ASSERT_EQ(paragraphs.size(), 1U);
  EXPECT_EQ(paragraphs[0].get("Types"), "deb");
  EXPECT_EQ(paragraphs[0].get("URIs"), "http://mirror.example/a");
}

TEST(Deb822, NamesTheBadLine) {
  EXPECT_THAT(parse_paragraphs("A: 1\nno field\n", "file"),
              fails_with(ErrorCode::invalid_input, HasSubstr("file:2")));
  EXPECT_THAT(parse_paragraphs(" continuation\n", "file"),
              fails_with(ErrorCode::invalid_input, HasSubstr("file:1")));
}

TEST(Version, FollowsPolicyOrder) {
  const std::vector<std::string_view> ascending{"~~",        "~~a",      "~",
                                                "",          "0.9",      "1.0~beta1~svn1245",
                                                "1.0~beta1", "1.0",      "1.0-1~deb12u1",
                                                "1.0-1",     "1.0-1+b1", "1.0-1.1",
                                                "1.0-2",     "1.0a",     "1.0+dfsg-1",
                                                "1.2.9",     "1.2.10",   "1:0.1",
                                                "2:0"};
  for (std::size_t a = 0; a < ascending.size(); ++a) {
    for (std::size_t b = 0; b < ascending.size(); ++b) {
      const int order = compare_versions(ascending[a], ascending[b]);
      EXPECT_EQ(order < 0, a < b) << ascending[a] << " and " << ascending[b];
      EXPECT_EQ(order > 0, a > b) << ascending[a] << " and " << ascending[b];
    }
  }
  EXPECT_EQ(compare_versions("0:1.0", "1.0"), 0);
  EXPECT_EQ(compare_versions("1.002", "1.2"), 0);
  EXPECT_EQ(compare_versions("1.0-0", "1.0"), 0);
}

TEST(Dependencies, ParsesAlternativesVersionsAndQualifiers) {
  const auto clauses = unwrap(parse_dependencies(
      "libc6 (>= 2.34), python3:any (<< 3.12) | pypy3,\n debconf (>=0.5)|debconf-2.0, ", "amd64",
      "x"));
  ASSERT_EQ(clauses.size(), 3U);
  EXPECT_EQ(to_string(clauses[0]), "libc6 (>= 2.34)");
  EXPECT_EQ(to_string(clauses[1]), "python3:any (<< 3.12) | pypy3");
  EXPECT_EQ(to_string(clauses[2]), "debconf (>= 0.5) | debconf-2.0");
  EXPECT_TRUE(clauses[1][0].accepts("3.11.2"));
  EXPECT_FALSE(clauses[1][0].accepts("3.12"));
}

TEST(Dependencies, LeavesOtherArchitecturesOut) {
  const auto names = [](std::string_view architecture) {
    std::vector<std::string> result;
    for (const Clause& clause : unwrap(parse_dependencies(
             "a [amd64 arm64], b [!ppc64el], c, d (= 1) [ppc64el]", architecture, "x"))) {
      result.emplace_back(clause.front().name);
    }
    return result;
  };
  EXPECT_THAT(names("amd64"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(names("ppc64el"), ElementsAre("c", "d"));
}

TEST(Dependencies, RefusesWhatIsNoRelation) {
  for (const std::string_view bad :
       {"a (", "a (1.0)", "a (>= )", "a b", "(= 1)", "a | ", "a [amd64"}) {
    EXPECT_THAT(parse_dependencies(bad, "amd64", "package p: Depends"),
                fails_with(ErrorCode::invalid_input, HasSubstr("package p: Depends")))
        << bad;
  }
}

}  // namespace
}  // namespace fnimage::source::debian
