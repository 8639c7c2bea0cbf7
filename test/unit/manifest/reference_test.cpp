// References: the grammar of C1 and C2, and no registry that nobody wrote.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/reference.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::manifest {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

const std::string digest = Digest::of("x").str();

struct Good {
  std::string text;
  std::string registry;
  std::string repository;
  std::string tag;  ///< empty = none written
  bool has_digest;
  std::string str;
};

TEST(Reference, Parts) {
  const Good table[] = {
      {"serverless:30501/action:latest", "serverless:30501", "action", "latest", false,
       "serverless:30501/action:latest"},
      {"serverless:30501/team/action", "serverless:30501", "team/action", "", false,
       "serverless:30501/team/action:latest"},
      {"registry.example/a/b/c:1.0", "registry.example", "a/b/c", "1.0", false,
       "registry.example/a/b/c:1.0"},
      {"localhost/action", "localhost", "action", "", false, "localhost/action:latest"},
      {"action", "", "action", "", false, "action:latest"},
      {"action:v1", "", "action", "v1", false, "action:v1"},
      {"team/action:v1", "", "team/action", "v1", false, "team/action:v1"},
      {"127.0.0.1:30501/action", "127.0.0.1:30501", "action", "", false,
       "127.0.0.1:30501/action:latest"},
      {"[::1]:5000/action:t", "[::1]:5000", "action", "t", false, "[::1]:5000/action:t"},
      {"[fe80::1]/action", "[fe80::1]", "action", "", false, "[fe80::1]/action:latest"},
      {"Registry.Example/action", "Registry.Example", "action", "", false,
       "Registry.Example/action:latest"},
      {"registry.example/a@" + digest, "registry.example", "a", "", true,
       "registry.example/a@" + digest},
      {"registry.example/a:t@" + digest, "registry.example", "a", "t", true,
       "registry.example/a:t@" + digest},
      {"a.b/c_d/e__f/g-h/i---j/k.l", "a.b", "c_d/e__f/g-h/i---j/k.l", "", false,
       "a.b/c_d/e__f/g-h/i---j/k.l:latest"},
      {"action:ppc64le", "", "action", "ppc64le", false, "action:ppc64le"},
      {"action:x86-64", "", "action", "x86-64", false, "action:x86-64"},
  };
  for (const Good& row : table) {
    SCOPED_TRACE(row.text);
    const Reference reference = unwrap(Reference::parse(row.text));
    EXPECT_EQ(reference.registry(), row.registry);
    EXPECT_EQ(reference.repository(), row.repository);
    EXPECT_EQ(reference.tag().value_or(""), row.tag);
    EXPECT_EQ(reference.digest().has_value(), row.has_digest);
    EXPECT_EQ(reference.str(), row.str);
    EXPECT_EQ(unwrap(Reference::parse(reference.str())).str(), row.str);
  }
}

TEST(Reference, RefusesMalformedNames) {
  const std::string bad[] = {"",
                             ":",
                             "/",
                             "a/",
                             "/a",
                             "a//b",
                             "a b",
                             "-a",
                             "a-",
                             "_a",
                             "a_",
                             ".a",
                             "a.",
                             "a..b",
                             "a___b",
                             "a.-b",
                             "a_-b",
                             "../a",
                             "a/../b",
                             "a/./b",
                             "serverless:30501/",
                             "serverless:/a",
                             "serverless:0/a",
                             "serverless:65536/a",
                             "serverless:x/a",
                             "a.b:1:2/c",
                             "-a.b/c",
                             "a..b/c",
                             "[::1/a",
                             "[zz]:1/a",
                             "[]:1/a",
                             "a\n",
                             std::string("a\0b", 3),
                             "\xc3\xa9",
                             "a/b?x=1",
                             "a#b",
                             "a%2f",
                             "user@registry.example/a",
                             "a:t:u"};
  for (const std::string& text : bad) {
    EXPECT_THAT(Reference::parse(text), fails_with(ErrorCode::invalid_argument)) << text;
  }
}

TEST(Reference, NamesTheCommonMistakes) {
  const auto upper = Reference::parse("registry.example/Team/Action");
  EXPECT_THAT(upper, fails_with(ErrorCode::invalid_argument, HasSubstr("upper-case")));
  EXPECT_THAT(upper.error().hint(), HasSubstr("team/action"));
  const auto url = Reference::parse("https://registry.example/a");
  EXPECT_THAT(url, fails_with(ErrorCode::invalid_argument, HasSubstr("URL")));
  EXPECT_THAT(url.error().hint(), HasSubstr("registry.example/a"));
}

TEST(Reference, RefusesMalformedTagsAndDigests) {
  for (const std::string& tag : {std::string(), std::string("-a"), std::string(".a"),
                                 std::string("a+b"), std::string("a b"), std::string(129, 'a')}) {
    EXPECT_FALSE(is_valid_tag(tag)) << tag;
    EXPECT_THAT(Reference::parse("a:" + tag), fails_with(ErrorCode::invalid_argument)) << tag;
  }
  EXPECT_TRUE(is_valid_tag(std::string(128, 'a')));
  EXPECT_TRUE(is_valid_tag("_A.b-C"));
  for (const char* text : {"a@", "a@sha256:00", "a@latest", "@sha256:00"}) {
    EXPECT_THAT(Reference::parse(text), fails_with(ErrorCode::invalid_argument)) << text;
  }
  EXPECT_THAT(Reference::parse("@" + digest), fails_with(ErrorCode::invalid_argument));
}

TEST(Reference, HoldsTheLengthLimit) {
  const std::string registry = "registry.example/";
  EXPECT_THAT(Reference::parse(registry + std::string(255 - registry.size(), 'a')), is_ok());
  EXPECT_THAT(Reference::parse(registry + std::string(256 - registry.size(), 'a')),
              fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(Reference::parse(std::string(10'000'000, '-')),
              fails_with(ErrorCode::invalid_argument));
}

TEST(Reference, TagOrLatest) {
  EXPECT_EQ(unwrap(Reference::parse("a")).tag_or_latest(), "latest");
  EXPECT_EQ(unwrap(Reference::parse("a:t")).tag_or_latest(), "t");
  EXPECT_EQ(unwrap(Reference::parse("a@" + digest)).tag_or_latest(), "");
}

TEST(Reference, OtherTagsAndDigests) {
  const Reference reference = unwrap(Reference::parse("registry.example/a:t@" + digest));
  EXPECT_EQ(unwrap(reference.with_tag("t-ppc64le")).str(), "registry.example/a:t-ppc64le");
  EXPECT_THAT(reference.with_tag("no/slash"), fails_with(ErrorCode::invalid_argument));
  EXPECT_EQ(reference.with_digest(Digest::of("y")).str(),
            "registry.example/a@" + Digest::of("y").str());
}

}  // namespace
}  // namespace fnimage::manifest
