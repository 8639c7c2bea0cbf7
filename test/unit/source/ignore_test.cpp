// Ignore files: the cases follow what docker's matcher does with the same pattern and path.
#include <gtest/gtest.h>

#include <fnimage/source/ignore.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::source {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::HasSubstr;

struct Case {
  std::string_view pattern;
  std::string_view path;
  bool matches;
};

void PrintTo(const Case& value, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << '"' << value.pattern << "\" on \"" << value.path << '"';
}

class PatternTable : public ::testing::TestWithParam<Case> {};

TEST_P(PatternTable, Matches) {
  const PathPattern pattern = unwrap(PathPattern::parse(GetParam().pattern));
  EXPECT_EQ(pattern.matches(GetParam().path), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    All, PatternTable,
    ::testing::Values(
        Case{"a", "a", true}, Case{"a", "b", false}, Case{"a", "a/b", false}, Case{"/a", "a", true},
        Case{"./a//b/", "a/b", true}, Case{"a/../b", "b", true}, Case{"/../b", "b", true},
        Case{"../b", "b", false}, Case{"*", "a", true}, Case{"*", "a/b", false},
        Case{"*.py", "a.py", true}, Case{"*.py", ".py", true}, Case{"*.py", "lib/a.py", false},
        Case{"a*c", "abbbc", true}, Case{"a*c", "ab/c", false}, Case{"a*b*c", "axbxbxc", true},
        Case{"?", "a", true}, Case{"?", "ab", false}, Case{"?", "/", false},
        Case{"a?b", "aäb", true}, Case{"?", "\xff", true}, Case{"[a-c]x", "bx", true},
        Case{"[a-c]x", "dx", false}, Case{"[^a-c]x", "dx", true}, Case{"[^a-c]x", "bx", false},
        Case{"[^a]", "/", false}, Case{"[!a]", "!", true}, Case{"[!a]", "b", false},
        Case{"[ä-ö]", "é", true}, Case{"\\*", "*", true}, Case{"\\*", "a", false},
        Case{"[\\]]", "]", true}, Case{"**", "a", true}, Case{"**", "a/b/c", true},
        Case{"a/**", "a", false}, Case{"a/**", "a/b", true}, Case{"a/**", "a/b/c", true},
        Case{"a/**", "ab", false}, Case{"**/a", "a", true}, Case{"**/a", "x/a", true},
        Case{"**/a", "x/y/a", true}, Case{"**/a", "xa", false}, Case{"**/a", "a/x", false},
        Case{"a/**/b", "a/b", true}, Case{"a/**/b", "a/x/b", true}, Case{"a/**/b", "a/x/y/b", true},
        Case{"a/**/b", "ab", false}, Case{"a/**/b", "a/xb", false}, Case{"**/*.pyc", "m.pyc", true},
        Case{"**/*.pyc", "x/y/m.pyc", true}, Case{"**/x/**", "a/x/b", true},
        Case{"**/x/**", "x/b", true}, Case{"**/x/**", "x", false},
        Case{"**.log", "dir/file.log", true}, Case{"**file", "dir/file", true},
        Case{"a**b", "ab", true}, Case{"a**b", "ax/b", true}, Case{"a**b", "axb", false},
        Case{"a**", "abc/d", true}, Case{"a.b", "axb", false}, Case{"a+(b)", "a+(b)", true},
        Case{"", "a", false}));

TEST(PathPattern, RefusesMalformed) {
  for (const std::string_view pattern : {"[", "[a", "[]", "[a-]", "[-a]", "[^]", "a\\", "[\\"}) {
    EXPECT_THAT(PathPattern::parse(pattern), fails_with(ErrorCode::invalid_input)) << pattern;
  }
  EXPECT_THAT(PathPattern::parse(std::string(5000, 'a')), fails_with(ErrorCode::invalid_input));
}

TEST(PathPattern, CoversWhatIsBelowAMatch) {
  const PathPattern pattern = unwrap(PathPattern::parse("lib/*"));
  EXPECT_TRUE(pattern.covers("lib/a"));
  EXPECT_TRUE(pattern.covers("lib/a/b/c"));
  EXPECT_FALSE(pattern.covers("lib"));
  EXPECT_FALSE(pattern.covers("library/a"));
}

TEST(PathPattern, TellsWhereMatchesCanBe) {
  const PathPattern pattern = unwrap(PathPattern::parse("a/*/c"));
  EXPECT_TRUE(pattern.may_match_below(""));
  EXPECT_TRUE(pattern.may_match_below("a"));
  EXPECT_TRUE(pattern.may_match_below("a/x"));
  EXPECT_FALSE(pattern.may_match_below("b"));
  EXPECT_FALSE(pattern.may_match_below("a/x/c"));
  EXPECT_TRUE(unwrap(PathPattern::parse("**/c")).may_match_below("x/y/z"));
}

TEST(PathPattern, NoPatternMakesMatchingSlow) {
  std::string stars;
  for (int i = 0; i < 200; ++i) {
    stars += "*a";
  }
  EXPECT_FALSE(unwrap(PathPattern::parse(stars)).matches(std::string(2000, 'a') + "b"));
}

TEST(IgnoreRules, LastMatchWins) {
  const IgnoreRules rules = unwrap(IgnoreRules::parse(
      "\xef\xbb\xbf# comment\r\n*.md\r\n!README.md\n  secret  \nbuild\n!build/keep\nREADME.md\n"
      "! README.md\n",
      "x"));
  EXPECT_TRUE(rules.ignores("notes.md"));
  EXPECT_FALSE(rules.ignores("README.md"));
  EXPECT_TRUE(rules.ignores("secret"));
  EXPECT_TRUE(rules.ignores("secret/below/it"));
  EXPECT_FALSE(rules.ignores("comment"));
  EXPECT_TRUE(rules.ignores("build"));
  EXPECT_TRUE(rules.ignores("build/x"));
  EXPECT_FALSE(rules.ignores("build/keep/x"));
  EXPECT_TRUE(rules.may_include_below("build"));
  EXPECT_FALSE(rules.may_include_below("secret"));
}

TEST(IgnoreRules, ErrorNamesFileAndLine) {
  EXPECT_THAT(IgnoreRules::parse("ok\n\n[", ".fnimageignore"),
              fails_with(ErrorCode::invalid_input, HasSubstr(".fnimageignore:3: ")));
  EXPECT_THAT(IgnoreRules::parse("!", ".fnimageignore"),
              fails_with(ErrorCode::invalid_input, HasSubstr(".fnimageignore:1: ")));
}

TEST(IgnoreRules, OwnFileBeforeDockers) {
  const test::TempDir directory;
  EXPECT_FALSE(unwrap(IgnoreRules::load(directory.path())).ignores("a"));
  directory.write(".dockerignore", "a\n");
  EXPECT_TRUE(unwrap(IgnoreRules::load(directory.path())).ignores("a"));
  directory.write(".fnimageignore", "b\n");
  EXPECT_FALSE(unwrap(IgnoreRules::load(directory.path())).ignores("a"));
  EXPECT_TRUE(unwrap(IgnoreRules::load(directory.path())).ignores("b"));
}

}  // namespace
}  // namespace fnimage::source
