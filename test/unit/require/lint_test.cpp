// Annotations about needs that nobody could go by.
#include <fnimage/require/lint.hpp>
#include <fnimage/require/requirements.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::require {
namespace {

using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

manifest::Index list_with(std::string_view platform, std::string needs) {
  manifest::Descriptor entry{.media_type = std::string(manifest::media_type::oci_manifest),
                             .digest = manifest::Digest::of("x"),
                             .size = 1,
                             .platform = unwrap(manifest::Platform::parse(platform))};
  entry.annotations[std::string(requires_annotation)] = std::move(needs);
  manifest::Index list;
  list.manifests = {std::move(entry)};
  return list;
}

std::vector<std::string> places(const manifest::Index& list) {
  std::vector<std::string> texts;
  for (const manifest::Finding& finding : lint(list)) {
    EXPECT_TRUE(finding.fatal);
    EXPECT_FALSE(finding.message.empty());
    EXPECT_FALSE(finding.fix.empty());
    texts.push_back(finding.rule + " " + finding.path);
  }
  return texts;
}

TEST(LintOfNeeds, GoodOnesPass) {
  EXPECT_THAT(places(manifest::Index{.manifests = {}}), IsEmpty());
  EXPECT_THAT(places(list_with("linux/amd64", R"({"cpu":"4","memory":"8Gi"})")), IsEmpty());
  manifest::Index list = list_with("linux/amd64", to_json({.cpu_level = "v3"}));
  list.annotations[std::string(variants_annotation)] = "gpu,avx512";
  EXPECT_THAT(places(list), IsEmpty());
}

TEST(LintOfNeeds, WhatCannotBeReadIsAnError) {
  const std::string entry = "requires-annotation /manifests/0/annotations";
  EXPECT_THAT(places(list_with("linux/amd64", "4 cpus")), ElementsAre(entry));
  EXPECT_THAT(places(list_with("linux/amd64", R"({"cpus":"4"})")), ElementsAre(entry));
  manifest::Index list = list_with("linux/amd64", "{}");
  list.annotations[std::string(variants_annotation)] = "gpu,gpu";
  EXPECT_THAT(places(list), ElementsAre("variants-annotation /annotations"));
  EXPECT_THAT(lint(list)[0].message, HasSubstr("named twice"));
}

TEST(LintOfNeeds, WhatThePlatformCannotHaveIsAnError) {
  const std::string level = to_json({.cpu_level = "v3"});
  EXPECT_THAT(places(list_with("linux/amd64", level)), IsEmpty());
  EXPECT_THAT(places(list_with("linux/ppc64le", level)),
              ElementsAre("requires-annotation /manifests/0/annotations"));
}

}  // namespace
}  // namespace fnimage::require
