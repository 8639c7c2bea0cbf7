// What a list means for the runtimes of a cluster: every row and column of the known matrix, each
// rule by a list that breaks just it, and lists as people have them.
#include <array>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/lint.hpp>
#include <fnimage/manifest/runtime_match.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using samples::entry;
using samples::raw_entry;
using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Index list_of(std::vector<Descriptor> entries) {
  Index index;
  index.manifests = std::move(entries);
  return index;
}

/// "rule!" for errors, "rule" for warnings.
std::vector<std::string> rules(const std::vector<Finding>& findings) {
  std::vector<std::string> names;
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.message.empty());
    EXPECT_FALSE(finding.fix.empty());
    EXPECT_THAT(finding.path, ::testing::StartsWith("/"));
    names.push_back(finding.rule + (finding.fatal ? "!" : ""));
  }
  return names;
}

std::vector<std::string> rules(std::vector<Descriptor> entries) {
  return rules(lint(list_of(std::move(entries))));
}

Finding only_finding(std::vector<Descriptor> entries, const ConfigPlatforms& configs = {}) {
  std::vector<Finding> findings = lint(list_of(std::move(entries)), configs);
  EXPECT_EQ(1U, findings.size()) << ::testing::PrintToString(rules(findings));
  return findings.empty() ? Finding{} : std::move(findings.front());
}

Descriptor with_features(Descriptor descriptor, std::vector<std::string> features) {
  descriptor.platform->os_features = std::move(features);
  return descriptor;
}

Descriptor without_platform(std::string_view name) {
  Descriptor descriptor = entry(name, "linux/amd64");
  descriptor.platform.reset();
  return descriptor;
}

/// One row of the matrix: an entry alone in a list, and whether each column's runtime takes it.
struct MatrixCase {
  const char* name;
  Descriptor only;
  const char* node;
  const char* cpu_variant;
  std::string_view takes;               ///< of `columns`: Y, N, or - where the column has nothing
  std::vector<std::string> findings{};  ///< of lint()
};

constexpr std::array<const char*, 6> columns{"containerd:1.7", "containerd:2.2", "containerd:2.3",
                                             "cri-o",          "docker:27",      "crane"};

std::vector<MatrixCase> matrix() {
  return {
      {"Amd64", entry("a", "linux/amd64"), "linux/amd64", "v3", "YYYYYY"},
      {"Amd64V1",
       raw_entry("linux", "amd64", "v1"),
       "linux/amd64",
       "v3",
       "YYYNYY",
       {"nothing-taken"}},
      {"OnlyAmd64V3",
       raw_entry("linux", "amd64", "v3"),
       "linux/amd64",
       "v3",
       "NNNNYY",
       {"nothing-taken!"}},
      {"OnlyAmd64V3WithoutAvx2",
       raw_entry("linux", "amd64", "v3"),
       "linux/amd64",
       "",
       "NNNNNY",
       {"nothing-taken!"}},
      {"X86Underscore64",
       raw_entry("linux", "x86_64"),
       "linux/amd64",
       "",
       "YYYNYN",
       {"nothing-taken"}},
      {"X86Dash64", raw_entry("linux", "x86-64"), "linux/amd64", "", "YYYNYN", {"nothing-taken"}},
      {"Ppc64le", entry("p", "linux/ppc64le"), "linux/ppc64le", "", "YYYYY-"},
      {"OnlyPower9",
       raw_entry("linux", "ppc64le", "power9"),
       "linux/ppc64le",
       "",
       "NNNNN-",
       {
           "nothing-taken!",
       }},
      {"Ppc64el", raw_entry("linux", "ppc64el"), "linux/ppc64le", "", "NNNNNN", {"nothing-taken!"}},
      {"OsFeatures",
       with_features(entry("f", "linux/amd64"), {"x"}),
       "linux/amd64",
       "",
       "YYNYYY",
       {"nothing-taken"}},
      {"Attestation",
       raw_entry("unknown", "unknown"),
       "linux/amd64",
       "",
       "NNNNNN",
       {"attestation-entry"}},
  };
}

TEST(LintMatrix, EveryRowAndColumn) {
  for (const MatrixCase& row : matrix()) {
    SCOPED_TRACE(row.name);
    const Index index = list_of({row.only});
    const NodeMachine node{.platform = samples::platform(row.node), .cpu_variant = row.cpu_variant};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      SCOPED_TRACE(columns[i]);
      if (row.takes[i] != '-') {
        const Runtime runtime = unwrap(parse_runtime(columns[i]));
        EXPECT_EQ(row.takes[i] == 'Y', taken_by(index, runtime, node).has_value());
        EXPECT_EQ(row.takes[i] == 'Y', choose_for(index, runtime, node).taken.has_value());
      }
    }
    EXPECT_EQ(row.findings, rules(lint(index)));
  }
}

TEST(Lint, HasNothingToSayOfListsLikeOurs) {
  EXPECT_THAT(rules(lint(samples::list())), IsEmpty());
  EXPECT_THAT(
      rules({entry("a", "linux/386"), entry("b", "linux/amd64"), entry("c", "linux/arm/v5"),
             entry("d", "linux/arm/v6"), entry("e", "linux/arm/v7"), entry("f", "linux/arm64"),
             entry("g", "linux/loong64"), entry("h", "linux/ppc64le"), entry("i", "linux/riscv64"),
             entry("j", "linux/s390x"), entry("k", "freebsd/amd64")}),
      IsEmpty());
  EXPECT_THAT(rules({raw_entry("linux", "arm64", "v8")}), IsEmpty());
  EXPECT_THAT(rules({raw_entry("linux", "arm")}), IsEmpty());
  Index docker;
  docker.format = Format::docker;
  for (const char* platform : {"linux/amd64", "linux/ppc64le"}) {
    docker.manifests.push_back(entry(platform, platform));
    docker.manifests.back().media_type = media_type::docker_manifest;
  }
  EXPECT_THAT(rules(lint(docker)), IsEmpty());
  EXPECT_THAT(rules(unwrap(lint(Document::of(samples::list())))), IsEmpty());
}

TEST(Lint, AttestationsOnlyWarnAndOnce) {
  std::vector<Descriptor> entries{entry("a", "linux/amd64"), entry("p", "linux/ppc64le")};
  for (const char* image : {"a", "p"}) {
    Descriptor attestation = raw_entry("unknown", "unknown");
    attestation.digest = Digest::of(std::string("attestation of ") + image);
    entries.push_back(attestation);
  }
  const Finding finding = only_finding(entries);
  EXPECT_EQ("attestation-entry", finding.rule);
  EXPECT_FALSE(finding.fatal);
  EXPECT_EQ("/manifests/2/platform", finding.path);
  EXPECT_THAT(finding.also, ElementsAre("/manifests/3/platform"));
  EXPECT_THAT(finding.fix, HasSubstr("referrers"));
}

TEST(Lint, SaysWhoGetsNothingInOneLine) {
  const Finding name = only_finding({raw_entry("linux", "x86_64")});
  EXPECT_THAT(name.message, AllOf(HasSubstr("CRI-O, Podman"), HasSubstr("linux/amd64"),
                                  HasSubstr("x86_64"), Not(HasSubstr("containerd"))));
  EXPECT_EQ("linux/amd64", name.platform);
  EXPECT_EQ("write amd64", name.fix);
  EXPECT_EQ("/manifests/0/platform", name.path);

  const Finding feature = only_finding({with_features(entry("a", "linux/amd64"), {"x"})});
  EXPECT_THAT(feature.message,
              AllOf(HasSubstr("containerd 2.3 and newer, "), HasSubstr("Docker 29.6 and newer"),
                    Not(HasSubstr("CRI-O")), Not(HasSubstr("client"))));

  const Finding level = only_finding({raw_entry("linux", "amd64", "v3")});
  EXPECT_THAT(level.message, AllOf(HasSubstr("containerd, CRI-O, Podman, Docker before 23.0"),
                                   HasSubstr("Docker on containerd's image store before 29.6")));

  const Finding power = only_finding({raw_entry("linux", "ppc64el")});
  EXPECT_THAT(power.message, HasSubstr("nodes take nothing on linux/ppc64le"));
  EXPECT_EQ("write ppc64le", power.fix);
}

TEST(Lint, ABaselineBesidesMakesAVariantHarmless) {
  // What only Docker finds out, and what no node looks for.
  const auto levels = lint(list_of({entry("a", "linux/amd64"), raw_entry("linux", "amd64", "v3")}));
  EXPECT_THAT(rules(levels), ElementsAre("different-images"));
  EXPECT_THAT(levels[0].message,
              AllOf(HasSubstr("Docker 23.0 and newer"), HasSubstr("linux/amd64/v3 (sha256:"),
                    HasSubstr("others take linux/amd64 (sha256:")));
  const Finding power =
      only_finding({entry("p", "linux/ppc64le"), raw_entry("linux", "ppc64le", "power9")});
  EXPECT_EQ("never-taken", power.rule);
  EXPECT_EQ("/manifests/1/platform", power.path);
  const Finding arm = only_finding({entry("a", "linux/arm64"), raw_entry("linux", "arm64", "v9")});
  EXPECT_EQ("never-taken", arm.rule);
}

TEST(Lint, TheBaselineComesFirst) {
  const auto power =
      lint(list_of({raw_entry("linux", "ppc64le", "power9"), entry("p", "linux/ppc64le")}));
  EXPECT_THAT(rules(power), ElementsAre("baseline-not-first", "never-taken"));
  EXPECT_THAT(power[0].message, HasSubstr("go-containerregistry"));
  EXPECT_THAT(rules({raw_entry("linux", "amd64", "v3"), entry("a", "linux/amd64")}),
              ElementsAre("different-images", "baseline-not-first"));
}

TEST(Lint, RuntimesThatTakeDifferentImages) {
  // An order that only some look at, and a mark that only one does.
  EXPECT_THAT(rules({with_features(entry("f", "linux/amd64"), {"x"}), entry("a", "linux/amd64")}),
              ElementsAre("duplicate-platform!", "different-images"));
  Descriptor zstd = entry("z", "linux/amd64");
  zstd.annotations["io.github.containers.compression.zstd"] = "true";
  const auto marked = lint(list_of({entry("a", "linux/amd64"), zstd}));
  EXPECT_THAT(rules(marked), ElementsAre("duplicate-platform!", "different-images"));
  EXPECT_THAT(marked[1].message, HasSubstr("CRI-O, Podman take"));
}

TEST(Lint, AToolThatTakesALaterEntryIsNoMatterOfOrder) {
  EXPECT_THAT(rules({raw_entry("linux", "x86_64"), entry("a", "linux/amd64")}),
              ElementsAre("duplicate-platform!", "platform-name", "different-images"));
}

TEST(Lint, EntriesPulledTwice) {
  Descriptor other = entry("b", "linux/amd64");
  other.platform->os_version = "2";
  const auto findings = lint(list_of({entry("a", "linux/amd64"), other}));
  EXPECT_THAT(rules(findings), ElementsAre("pulled-twice", "never-taken"));
  EXPECT_THAT(findings[0].message, HasSubstr("containerd 2.1 and newer downloads 2 images"));
  EXPECT_THAT(rules({entry("a", "linux/amd64"), entry("b", "linux/amd64")}),
              ElementsAre("duplicate-platform!"));
}

TEST(Lint, EntriesWithoutPlatform) {
  EXPECT_THAT(rules({entry("a", "linux/ppc64le"), without_platform("n")}),
              ElementsAre("no-platform!"));
  // What its config says is what it is meant for.
  const Descriptor bare = without_platform("n");
  const auto findings = lint(list_of({bare}), {{bare.digest, samples::platform("linux/ppc64le")}});
  EXPECT_THAT(rules(findings), ElementsAre("no-platform!", "nothing-taken"));
}

TEST(Lint, ConfigsThatSayAnotherPlatform) {
  const Descriptor power = entry("p", "linux/ppc64le");
  const auto with = [&](Platform platform) {
    return rules(lint(list_of({power}), {{power.digest, std::move(platform)}}));
  };
  EXPECT_THAT(with(samples::platform("linux/ppc64le")), IsEmpty());
  EXPECT_THAT(with({}), IsEmpty());
  EXPECT_THAT(with(samples::platform("linux/amd64")), ElementsAre("config-platform!"));
  EXPECT_THAT(with({"linux", "ppc64le", "power9", {}, {}}), ElementsAre("config-platform"));
  EXPECT_THAT(rules(lint(list_of({raw_entry("linux", "ppc64el")}),
                         {{raw_entry("linux", "ppc64el").digest, power.platform.value()}})),
              ElementsAre("nothing-taken!"));
  const Descriptor intel = raw_entry("linux", "amd64");
  EXPECT_THAT(rules(lint(list_of({intel}), {{intel.digest, {"linux", "x86_64", "v1", {}, {}}}})),
              IsEmpty());
}

TEST(Lint, OneImageForTwoPlatforms) {
  EXPECT_THAT(rules({entry("same", "linux/amd64"), entry("same", "linux/ppc64le")}),
              ElementsAre("digest-twice"));
}

TEST(Lint, NestedListsAndMixedFamilies) {
  Descriptor nested = entry("n", "linux/amd64");
  nested.media_type = media_type::oci_index;
  EXPECT_THAT(rules({nested}), ElementsAre("nested-list"));
  Descriptor docker = entry("d", "linux/amd64");
  docker.media_type = media_type::docker_manifest;
  EXPECT_THAT(rules({docker}), ElementsAre("media-type-family"));
}

TEST(Lint, WindowsIsNotJudged) {
  Descriptor newer = entry("w", "windows/amd64");
  newer.platform->os_version = "10.0.20348.1";
  Descriptor older = entry("v", "windows/amd64");
  older.platform->os_version = "10.0.17763.1";
  EXPECT_THAT(rules({newer, older}), IsEmpty());
}

TEST(Lint, WhatOnlyTheBytesShow) {
  const std::string bytes =
      R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
      R"("size":3,"digest":")" +
      Digest::of("x").str() + R"(","platform":{"os":"linux","architecture":"ppc64le"}}]})";
  const Document bare = unwrap(Document::from_bytes(bytes, media_type::oci_index, "x"));
  EXPECT_THAT(rules(unwrap(lint(bare))), ElementsAre("no-media-type"));
  EXPECT_THAT(lint(Document::of(samples::image())), fails_with(ErrorCode::invalid_input));
}

TEST(Lint, LargeListsEnd) {
  // Each entry of a platform of its own, all of one, and all of variants without a baseline.
  std::vector<Descriptor> own;
  std::vector<Descriptor> same;
  std::vector<Descriptor> variants;
  constexpr int many = 10'000;
  for (int i = 0; i < many; ++i) {
    own.push_back(raw_entry("linux", "arch" + std::to_string(i)));
    same.push_back(entry(std::to_string(i), "linux/amd64"));
    variants.push_back(raw_entry("linux", "ppc64le", "v" + std::to_string(i)));
  }
  const auto findings = lint(list_of(own));
  EXPECT_THAT(rules(findings), ::testing::Contains("many-platforms"));
  EXPECT_LT(0U, lint(list_of(same)).size());
  EXPECT_LT(0U, lint(list_of(variants)).size());
}

TEST(Lint, WhatWasThereBeforeIsNotNew) {
  const auto before = lint(list_of({raw_entry("linux", "ppc64el")}));
  const auto after = lint(list_of({entry("a", "linux/amd64"), raw_entry("linux", "ppc64el"),
                                   raw_entry("linux", "s390x", "z15"), entry("s", "linux/s390x")}));
  for (const Finding& finding : new_findings(after, before)) {
    EXPECT_NE("linux/ppc64le", finding.platform);
  }
  EXPECT_THAT(new_findings(before, before), IsEmpty());
  EXPECT_EQ(before.size(), new_findings(before, {}).size());
}

TEST(Lint, RefusalsSayWhichClass) {
  EXPECT_THAT(require_valid(lint(list_of({raw_entry("linux", "ppc64el")})), "x"),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("nothing on linux/ppc64le")));
  EXPECT_THAT(
      require_valid(lint(list_of({entry("a", "linux/amd64"), entry("b", "linux/amd64")})), "x"),
      fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(require_valid(lint(list_of({raw_entry("linux", "x86_64")})), "x"), test::is_ok());
}

}  // namespace
}  // namespace fnimage::manifest
