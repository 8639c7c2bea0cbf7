// Which entry a runtime takes: the runtimes' own published tests restated as tables, the result
// matrix of their rules, and a slow restatement that random lists are compared with.
#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/manifest/runtime_match.hpp>

#include "samples.hpp"

namespace fnimage::manifest {
namespace {

using samples::blob;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* zstd_mark = "io.github.containers.compression.zstd";

std::vector<std::string> words_in(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string_view word : split(text, ' ')) {
    if (!word.empty()) {
      words.emplace_back(word);
    }
  }
  return words;
}

/// "linux/arm/v7" as it stands; "-" = none, "()" = all words empty. After the platform: "+f"
/// os.features, "@v" os.version,
/// "!" marked as zstd.
Descriptor written(std::string_view text) {
  Descriptor descriptor = blob(media_type::oci_manifest, text);
  if (text.ends_with('!')) {
    descriptor.annotations = {{zstd_mark, "true"}};
    text.remove_suffix(1);
  }
  if (text == "-") {
    return descriptor;
  }
  if (text == "()") {
    text = {};
  }
  Platform platform;
  std::string* part = &platform.os;
  int slashes = 0;
  for (const char c : text) {
    if (c == '/') {
      part = ++slashes == 1 ? &platform.architecture : &platform.variant;
    } else if (c == '+') {
      part = &platform.os_features.emplace_back();
    } else if (c == '@') {
      part = &platform.os_version;
    } else {
      *part += c;
    }
  }
  descriptor.platform = platform;
  return descriptor;
}

Index index_of(const std::vector<std::string>& entries, Format format = Format::oci) {
  Index index;
  index.format = format;
  for (const std::string& entry : entries) {
    index.manifests.push_back(written(entry));
  }
  return index;
}

NodeMachine node_of(std::string_view text, std::string cpu_variant = {}) {
  return {*written(text).platform, std::move(cpu_variant)};
}

Runtime runtime_of(std::string_view text) {
  return unwrap(parse_runtime(text));
}

/// -1: none.
int taken_of(const Index& list, std::string_view runtime, const NodeMachine& node) {
  const auto index = taken_by(list, runtime_of(runtime), node);
  EXPECT_EQ(choose_for(list, runtime_of(runtime), node).taken, index);
  return index ? static_cast<int>(*index) : -1;
}

bool takes_alone(std::string_view runtime, std::string_view node, const std::string& entry) {
  return taken_of(index_of({entry}), runtime, node_of(node)) == 0;
}

std::vector<std::string> reasons_for(const Index& list, std::string_view runtime,
                                     const NodeMachine& node) {
  std::vector<std::string> texts;
  for (const EntryVerdict& verdict : choose_for(list, runtime_of(runtime), node).verdicts) {
    texts.push_back((verdict.is_taken    ? "run: "
                     : verdict.is_pulled ? "pulled: "
                                         : "") +
                    verdict.reason);
  }
  return texts;
}

std::string reason_for(const std::string& entry, std::string_view runtime, std::string_view node) {
  return reasons_for(index_of({entry}), runtime, node_of(node)).front();
}

// ---- containerd/platforms ------------------------------------------------------------------

struct OnlyRow {
  const char* source;
  const char* node;
  const char* yes;
  const char* no;
};

const std::vector<OnlyRow>& only_table() {
  static const std::vector<OnlyRow> table{
      {"compare_test.go, TestOnly: amd64", "linux/amd64", "linux/amd64 linux/386",
       "linux/amd64/v2 linux/arm/v7 linux/arm64 windows/amd64 windows/arm"},
      {"compare_test.go, TestOnly: amd64/v2", "linux/amd64/v2",
       "linux/amd64 linux/amd64/v1 linux/amd64/v2 linux/386",
       "linux/amd64/v3 linux/amd64/v4 linux/arm/v7 linux/arm64 windows/amd64"},
      {"compare_test.go, TestOnly: 386", "linux/386", "linux/386",
       "linux/amd64 linux/arm/v7 linux/arm64 windows/amd64 windows/arm"},
      {"compare_test.go, TestOnly: windows", "windows/amd64",
       "windows/amd64 windows/amd64@10.0.17763",
       "linux/amd64 linux/arm/v7 linux/arm64 windows/arm"},
      {"compare_test.go, TestOnly: arm/v8", "linux/arm/v8",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8",
       "linux/amd64 linux/arm/v4 linux/arm64 windows/amd64 windows/arm"},
      {"compare_test.go, TestOnly: arm/v7", "linux/arm/v7",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7",
       "linux/amd64 linux/arm/v4 linux/arm/v8 linux/arm64 windows/arm"},
      {"compare_test.go, TestOnly: arm/v6", "linux/arm/v6", "linux/arm/v5 linux/arm/v6",
       "linux/amd64 linux/arm linux/arm/v4 linux/arm/v7 linux/arm/v8 linux/arm64"},
      {"compare_test.go, TestOnly: arm/v5", "linux/arm/v5", "linux/arm/v5",
       "linux/amd64 linux/arm linux/arm/v4 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm64"},
      {"compare_test.go, TestOnly: arm/v4", "linux/arm/v4", "linux/arm/v4",
       "linux/amd64 linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm64"},
      {"compare_test.go, TestOnly: arm64/v9.6", "linux/arm64/v9.6",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm64 linux/arm64/v8 "
       "linux/arm64/v8.1 linux/arm64/v8.2 linux/arm64/v8.3 linux/arm64/v8.4 linux/arm64/v8.5 "
       "linux/arm64/v8.6 linux/arm64/v8.7 linux/arm64/v8.8 linux/arm64/v8.9 linux/arm64/v9 "
       "linux/arm64/v9.0 linux/arm64/v9.1 linux/arm64/v9.2 linux/arm64/v9.3 linux/arm64/v9.4 "
       "linux/arm64/v9.5 linux/arm64/v9.6",
       "linux/amd64 linux/arm/v4 windows/amd64 windows/arm linux/arm64/v8.10"},
      {"compare_test.go, TestOnly: arm64/v9", "linux/arm64/v9",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm64 linux/arm64/v8 "
       "linux/arm64/v8.1 linux/arm64/v8.2 linux/arm64/v8.3 linux/arm64/v8.4 linux/arm64/v8.5 "
       "linux/arm64/v9 linux/arm64/v9.0",
       "linux/amd64 linux/arm/v4 windows/amd64 linux/arm64/v8.6"},
      {"compare_test.go, TestOnly: arm64/v8.1", "linux/arm64/v8.1",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm64 linux/arm64/v8 "
       "linux/arm64/v8.1",
       "linux/amd64 linux/arm/v4 linux/arm/v9 linux/arm64/v9 windows/amd64"},
      {"compare_test.go, TestOnly: arm64", "linux/arm64",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm64 linux/arm64/v8",
       "linux/amd64 linux/arm/v4 linux/arm/v9 linux/arm64/v9 windows/amd64"},
      {"platforms_test.go, TestParseSelector: linux/arm64", "linux/arm64",
       "linux/aarch64 linux/aarch64/v8 linux/arm64/v8 Linux/Aarch64", ""},
      {"platforms_test.go, TestParseSelector: linux/arm", "linux/arm",
       "linux/arm/v7 linux/armhf linux/arm/7", ""},
      {"platforms_test.go, TestParseSelector: linux/arm/v6", "linux/arm/v6",
       "linux/armel linux/arm/6", "linux/armhf"},
      {"platforms_test.go, TestParseSelector: Linux/x86_64", "linux/amd64",
       "Linux/x86_64 linux/x86-64 linux/i386", "linux/x64"},
      {"platforms_test.go, TestParseSelector: linux/s390x", "linux/s390x", "linux/s390x",
       "linux/s390"},
  };
  return table;
}

TEST(RuntimeMatchContainerd, OnlyAsPublished) {
  for (const char* runtime : {"containerd:1.7", "containerd:2.0", "ctr", "docker:27", "docker:29.6",
                              "docker+containerd", "docker:20.10"}) {
    for (const OnlyRow& row : only_table()) {
      for (const std::string& entry : words_in(row.yes)) {
        EXPECT_TRUE(takes_alone(runtime, row.node, entry)) << row.source << " " << runtime << entry;
      }
      for (const std::string& entry : words_in(row.no)) {
        const bool is_any_arm = std::string_view(runtime) == "docker:20.10" &&
                                std::string_view(row.node).starts_with("linux/arm/") &&
                                entry.starts_with("linux/arm");
        if (!is_any_arm) {
          EXPECT_FALSE(takes_alone(runtime, row.node, entry))
              << row.source << " " << runtime << entry;
        }
      }
    }
  }
}

const std::vector<OnlyRow>& only_strict_table() {
  static const std::vector<OnlyRow> table{
      {"compare_test.go, TestOnlyStrict: amd64", "linux/amd64", "linux/amd64",
       "linux/386 linux/arm/v7 linux/arm64 windows/amd64 windows/arm"},
      {"compare_test.go, TestOnlyStrict: 386", "linux/386", "linux/386",
       "linux/amd64 linux/arm/v7 linux/arm64 windows/amd64 windows/arm"},
      {"compare_test.go, TestOnlyStrict: windows", "windows/amd64",
       "windows/amd64 windows/amd64@10.0.17763",
       "linux/amd64 linux/arm/v7 linux/arm64 windows/arm"},
      {"compare_test.go, TestOnlyStrict: arm/v8", "linux/arm/v8", "linux/arm/v8",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v4 linux/arm64"},
      {"compare_test.go, TestOnlyStrict: arm/v7", "linux/arm/v7", "linux/arm linux/arm/v7",
       "linux/arm/v5 linux/arm/v6 linux/arm/v4 linux/arm/v8 linux/arm64"},
      {"compare_test.go, TestOnlyStrict: arm/v6", "linux/arm/v6", "linux/arm/v6",
       "linux/arm/v5 linux/arm linux/arm/v4 linux/arm/v7 linux/arm/v8"},
      {"compare_test.go, TestOnlyStrict: arm/v5", "linux/arm/v5", "linux/arm/v5",
       "linux/arm linux/arm/v4 linux/arm/v6 linux/arm/v7 linux/arm/v8"},
      {"compare_test.go, TestOnlyStrict: arm/v4", "linux/arm/v4", "linux/arm/v4",
       "linux/arm linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8"},
      {"compare_test.go, TestOnlyStrict: arm64/v9.5", "linux/arm64/v9.5", "linux/arm64/v9.5",
       "linux/arm linux/arm/v8 linux/arm64/v8 linux/arm64/v8.1 linux/arm64/v9 linux/arm64/v9.1 "
       "linux/arm64/v9.4"},
      {"compare_test.go, TestOnlyStrict: arm64/v9", "linux/arm64/v9",
       "linux/arm64/v9 linux/arm64/v9.0",
       "linux/arm linux/arm/v8 linux/arm/v9 linux/arm64/v8 linux/arm64/v8.1"},
      {"compare_test.go, TestOnlyStrict: arm64/v8.1", "linux/arm64/v8.1", "linux/arm64/v8.1",
       "linux/arm linux/arm/v8 linux/arm/v9 linux/arm64/v8 linux/arm64/v9"},
      {"compare_test.go, TestOnlyStrict: arm64", "linux/arm64", "linux/arm64 linux/arm64/v8",
       "linux/arm linux/arm/v5 linux/arm/v8 linux/arm/v9 linux/arm64/v9"},
  };
  return table;
}

TEST(RuntimeMatchContainerd, TheTransferServiceAsksStrictly) {
  for (const char* runtime : {"containerd:2.1", "containerd:2.2", "containerd"}) {
    for (const OnlyRow& row : only_strict_table()) {
      for (const std::string& entry : words_in(row.yes)) {
        EXPECT_TRUE(takes_alone(runtime, row.node, entry)) << row.source << " " << runtime << entry;
      }
      for (const std::string& entry : words_in(row.no)) {
        EXPECT_FALSE(takes_alone(runtime, row.node, entry))
            << row.source << " " << runtime << entry;
      }
    }
  }
}

struct FirstOf {
  const char* source;
  const char* runtime;
  const char* node;
  const char* cpu_variant;
  const char* list;
  int taken;
};

TEST(RuntimeMatchContainerd, FeaturesAsPublished) {
  const FirstOf table[] = {
      {"compare_test.go, TestCompareOSFeatures: none", "containerd", "linux/amd64", "",
       "windows/amd64 linux/amd64 linux/amd64+other linux/arm64", 1},
      {"compare_test.go, TestCompareOSFeatures: +none", "containerd", "linux/amd64+none", "",
       "windows/amd64 linux/amd64 linux/arm64 linux/amd64+other", 1},
      {"compare_test.go, TestCompareOSFeatures: +other", "containerd", "linux/amd64+other", "",
       "windows/amd64 linux/amd64 linux/arm64 linux/amd64+other", 3},
      {"compare_test.go, TestCompareOSFeatures: +af+other+zf", "ctr", "linux/amd64+af+other+zf", "",
       "windows/amd64 linux/amd64 linux/arm64 linux/amd64+other", 3},
      {"compare_test.go, TestCompareOSFeatures: +f1+f2", "ctr", "linux/amd64+f1+f2", "",
       "linux/amd64 linux/amd64+f2 linux/amd64+f1 linux/amd64+f1+f2", 3},
      {"compare_test.go, TestCompareOSFeatures: f2 before f1", "ctr", "linux/amd64+f2+f1", "",
       "linux/amd64 linux/amd64+f2 linux/amd64+f1", 1},
      {"compare_test.go, TestCompareOSFeatures: 7.2+other", "containerd", "linux/amd64+other@7.2",
       "", "linux/amd64 linux/amd64+other linux/amd64@7.1 linux/amd64+other@7.2", 1},
      {"platform_windows_compat.go: win32k is not looked at", "containerd", "windows/amd64", "",
       "windows/amd64+other windows/amd64+win32k", 1},
      {"features exclude since 2.3", "containerd:2.3", "linux/amd64", "",
       "linux/amd64+x linux/amd64", 1},
      {"features are not looked at before", "containerd:2.2", "linux/amd64", "",
       "linux/amd64+x linux/amd64", 0},
      {"nor do they make an entry better before", "containerd:2.2", "linux/amd64+x", "",
       "linux/amd64 linux/amd64+x", 0},
      {"Docker by what it is built with", "docker:29.5", "linux/amd64", "",
       "linux/amd64+x linux/amd64", 0},
      {"Docker by what it is built with", "docker:29.6", "linux/amd64", "",
       "linux/amd64+x linux/amd64", 1},
      {"Docker by what it is built with", "docker+containerd:29.6", "linux/amd64", "",
       "linux/amd64+x linux/amd64", 1},
  };
  for (const FirstOf& row : table) {
    EXPECT_EQ(
        taken_of(index_of(words_in(row.list)), row.runtime, node_of(row.node, row.cpu_variant)),
        row.taken)
        << row.source;
  }
}

TEST(RuntimeMatchDocker, AsPublishedAndByTheProcessor) {
  const char* const arms =
      "linux/amd64 linux/arm/v5 linux/arm/v6 linux/arm64/v8 windows/amd64@10.0.14393";
  const FirstOf table[] = {
      {"platform_matchers_test.go, TestMatcherOnLinuxAmd64v4", "docker+containerd", "linux/amd64",
       "v4", "linux/amd64 linux/amd64/v3", 1},
      {"platform_matchers_test.go, TestMatcherOnLinuxAmd64v4: v3 only", "docker+containerd",
       "linux/amd64", "v4", "linux/amd64/v3", 0},
      {"platform_matchers_test.go, TestMatcherOnLinuxAmd64v4: v2, v3", "docker+containerd",
       "linux/amd64", "v4", "linux/amd64/v2 linux/amd64/v3", 1},
      {"platform_matchers_test.go: amd64 asked for", "docker+containerd", "linux/amd64", "",
       "linux/amd64 linux/amd64/v3", 0},
      {"platform_matchers_test.go: v3 only, amd64 asked for", "docker+containerd", "linux/amd64",
       "", "linux/amd64/v3", -1},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: default", "docker", "linux/arm64/v8",
       "", arms, 3},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: amd64", "docker", "linux/amd64", "",
       arms, 0},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: windows", "docker", "windows/amd64",
       "", arms, 4},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: arm", "docker", "linux/arm", "", arms,
       2},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: arm/v5", "docker", "linux/arm/v5", "",
       arms, 1},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: arm/v8", "docker", "linux/arm/v8", "",
       arms, 2},
      {"platform_matchers_test.go, TestMatcherOnLinuxArm64v8: s390x", "docker", "linux/s390x", "",
       arms, -1},
      {"pull_v2.go, maximumSpec", "docker:23.0", "linux/amd64", "v3",
       "linux/amd64 linux/amd64/v2 linux/amd64/v3 linux/amd64/v4", 2},
      {"pull_v2.go before 23.0", "docker:20.10", "linux/amd64", "v3", "linux/amd64/v3 linux/amd64",
       1},
      {"daemon/containerd before 29.6", "docker+containerd:29.5", "linux/amd64", "v3",
       "linux/amd64/v3 linux/amd64", 1},
      {"containerd never finds out", "containerd", "linux/amd64", "v3",
       "linux/amd64/v3 linux/amd64", 1},
      {"containerd never finds out", "ctr", "linux/amd64", "v3", "linux/amd64/v3", -1},
      {"CRI-O neither", "cri-o", "linux/amd64", "v3", "linux/amd64/v3 linux/amd64", 1},
      {"a level is of amd64 only", "docker", "linux/ppc64le", "v3", "linux/ppc64le/v3", -1},
      {"a level that is none", "docker", "linux/amd64", "haswell", "linux/amd64/haswell", -1},
      {"the baseline in both writings", "docker", "linux/amd64", "v1", "linux/amd64/v1", 0},
      {"pull_v2_unix.go before 23.0: any arm", "docker:20.10", "linux/arm/v6", "",
       "linux/amd64 linux/arm/v8 linux/arm/v7", 1},
      {"pull_v2_unix.go before 23.0: only for want of a better one", "docker:20.10", "linux/arm/v6",
       "", "linux/arm/v8 linux/arm/v5", 1},
      {"pull_v2_unix.go since 23.0", "docker:23.0", "linux/arm/v6", "", "linux/arm/v8", -1},
      {"toOCIPlatform: all empty is none", "docker", "linux/amd64", "", "() linux/arm64", 0},
      {"toOCIPlatform before 23.0", "docker:20.10", "linux/amd64", "", "- ()", -1},
      {"all empty is a platform in containerd", "ctr", "linux/amd64", "", "()", -1},
  };
  for (const FirstOf& row : table) {
    EXPECT_EQ(
        taken_of(index_of(words_in(row.list)), row.runtime, node_of(row.node, row.cpu_variant)),
        row.taken)
        << row.source;
  }
}

// ---- containers/image ----------------------------------------------------------------------

struct WantedRow {
  const char* source;
  const char* node;
  const char* order;
};

/// The best of the list is taken; without it the next; and so on.
TEST(RuntimeMatchCrio, WantedPlatformsAsPublished) {
  const WantedRow table[] = {
      {"platform_matcher_test.go: amd64 has no variants", "linux/amd64", "linux/amd64"},
      {"platform_matcher_test.go: arm/v6", "linux/arm/v6", "linux/arm/v6 linux/arm/v5 linux/arm"},
      {"platform_matcher_test.go: arm", "linux/arm",
       "linux/arm linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5"},
      {"platform_matcher.go, getCPUVariantArm: arm64 is v8 on every node", "linux/arm64",
       "linux/arm64/v8 linux/arm64"},
      {"platform_matcher_test.go: custom", "freeBSD/armel/custom",
       "freeBSD/armel/custom freeBSD/armel"},
      {"platform_matcher.go: a variant that is not in the list", "linux/ppc64le/power9",
       "linux/ppc64le/power9 linux/ppc64le"},
  };
  const std::vector<std::string> others{"linux/386",    "linux/x86_64",  "linux/amd64/v1",
                                        "Linux/amd64",  "linux/arm/v9",  "linux/arm64/v9",
                                        "linux/arm/v4", "linux/aarch64", "linux/ppc64le/power10"};
  for (const Format format : {Format::oci, Format::docker}) {
    for (const WantedRow& row : table) {
      Index list = index_of(others, format);
      const std::vector<std::string> order = words_in(row.order);
      for (auto wanted = order.rbegin(); wanted != order.rend(); ++wanted) {
        EXPECT_NE(taken_of(list, "cri-o", node_of(row.node)), 0) << row.source;
        list.manifests.insert(list.manifests.begin() + 3, written(*wanted));
        EXPECT_EQ(taken_of(list, "cri-o", node_of(row.node)), 3) << row.source << *wanted;
      }
      EXPECT_EQ(taken_of(index_of(others, format), "podman", node_of(row.node)), -1) << row.source;
    }
  }
}

TEST(RuntimeMatchCrio, ListsAsPublished) {
  struct Row {
    const char* source;
    Format format;
    const char* list;
    std::vector<std::pair<const char*, int>> taken;
  };
  const Row table[] = {
      {"list_test.go, TestChooseInstance: schema2list.json",
       Format::docker,
       "linux/amd64 linux/arm/v5 linux/arm/v6 linux/arm64/v8 linux/386 linux/ppc64le linux/s390x",
       {{"linux/amd64", 0},
        {"linux/s390x", 6},
        {"linux/arm/v7", 2},
        {"linux/arm64", 3},
        {"linux/ppc64le", 5},
        {"linux/unmatched", -1}}},
      {"list_test.go, TestChooseInstance: schema2list-variants.json",
       Format::docker,
       "linux/amd64 linux/arm/v6 linux/arm/unrecognized-present linux/arm",
       {{"linux/amd64", 0},
        {"linux/arm/v7", 1},
        {"linux/arm/v6", 1},
        {"linux/arm/v5", 3},
        {"linux/arm", 3},
        {"linux/arm/unrecognized-present", 2},
        {"linux/arm/unrecognized-not-present", 3},
        {"linux/unmatched", -1}}},
      {"list_test.go, TestChooseInstance: oci1index.json",
       Format::oci,
       "linux/ppc64le linux/amd64+sse4 linux/arm64",
       {{"linux/amd64", 1}, {"linux/ppc64le", 0}, {"linux/unmatched", -1}}},
      {"oci_index_test.go: oci1.index.zstd-selection.json",
       Format::oci,
       "linux/amd64 linux/amd64! linux/arm64 linux/arm64 linux/s390x linux/amd64!",
       {{"linux/amd64", 1}, {"linux/arm64", 2}, {"linux/s390x", 4}, {"linux/unmatched", -1}}},
      {"oci_index_test.go: oci1.index.zstd-selection2.json",
       Format::oci,
       "linux/amd64 linux/amd64 linux/amd64! linux/arm64! - -! - linux/arm64 linux/amd64 "
       "linux/amd64!",
       {{"linux/amd64", 2}, {"linux/arm64", 3}, {"linux/matchesImageWithNoPlatform", 5}}},
      {"oci_index_test.go: ocilist-variants.json",
       Format::oci,
       "linux/amd64 linux/arm/v7 linux/arm/v6 linux/arm/v6! linux/arm/unrecognized-present "
       "linux/arm",
       {{"linux/amd64", 0},
        {"linux/arm/v7", 1},
        {"linux/arm/v6", 3},
        {"linux/arm/v5", 5},
        {"linux/arm", 5},
        {"linux/arm/unrecognized-present", 4},
        {"linux/arm/unrecognized-not-present", 5},
        {"linux/unmatched", -1}}},
      {"docker_schema2_list.go: no zstd, no entries without a platform",
       Format::docker,
       "- linux/amd64 linux/amd64!",
       {{"linux/amd64", 1}, {"linux/ppc64le", -1}}},
  };
  for (const Row& row : table) {
    for (const auto& [node, expected] : row.taken) {
      EXPECT_EQ(taken_of(index_of(words_in(row.list), row.format), "cri-o", node_of(node)),
                expected)
          << row.source << ": " << node;
    }
  }
}

// ---- go-containerregistry ------------------------------------------------------------------

TEST(RuntimeMatchGoContainerregistry, MatchesPlatformAsPublished) {
  struct Row {
    const char* source;
    const char* given;
    const char* required;
    bool matches;
  };
  const Row table[] = {
      {"index_test.go: identical", "linux/amd64/armv6l@10.0.10586+win32k",
       "linux/amd64/armv6l@10.0.10586+win32k", true},
      {"index_test.go: architecture", "linux/arm/armv6l@10.0.10586+win64k",
       "linux/amd64/armv6l@10.0.10586+win32k", false},
      {"index_test.go: os.version", "linux/amd64/armv6l@10.0.10586+win64k",
       "linux/amd64/armv6l@10.0.10587+win64k", false},
      {"index_test.go: os.features", "linux/arm/armv6l@10.0.10586+win64k",
       "linux/arm/armv6l@10.0.10586+win32k", false},
      {"index_test.go: variant", "linux/amd64/armv6l@10.0.10586+win64k",
       "linux/amd64/armv7l@10.0.10586+win64k", false},
      {"index_test.go: case", "linux/arm/armv6l@10.0.10586+win64k",
       "LinuX/arm/armv6l@10.0.10586+win64k", false},
      {"index_test.go: not asked for", "linux/arm/armv6l@10.0.10586+win64k", "linux/arm+win64k",
       true},
      {"index_test.go: asked for but not there", "linux/amd64",
       "linux/amd64/armv6l@10.0.10586+win32k", false},
      {"index_test.go: fewer are asked for", "linux//armv6l@10.0.10586+win32k", "linux/", true},
      {"index_test.go: a subset is asked for", "linux/arm@10.0.10586+win64k+f1+f2",
       "linux/arm@10.0.10586+win64k", true},
      {"index_test.go: none is asked for", "linux/arm/armv6l@10.0.10586+win64k+f1+f2",
       "linux/arm/armv6l@10.0.10586", true},
      {"platform_test.go, TestPlatformSatisfies: os", "linux/amd64", "darwin/amd64", false},
      {"platform_test.go, TestPlatformSatisfies: os.version not asked for", "linux/amd64@5.0",
       "linux/amd64", true},
      {"platform_test.go, TestPlatformSatisfies: os.version", "linux/amd64@5.0", "linux/amd64@3.6",
       false},
      {"platform_test.go, TestPlatformSatisfies: variant not asked for", "linux/amd64/pios",
       "linux/amd64", true},
      {"platform_test.go, TestPlatformSatisfies: variant", "linux/amd64/pios", "linux/amd64/ubuntu",
       false},
      {"platform_test.go, TestPlatformSatisfies: same variant", "linux/amd64/pios",
       "linux/amd64/pios", true},
      {"platform_test.go, TestPlatformSatisfies: features asked for", "linux/amd64",
       "linux/amd64+a+b", false},
      {"platform_test.go, TestPlatformSatisfies: other features", "linux/amd64+a+b",
       "linux/amd64+ac+bd", false},
      {"platform_test.go, TestPlatformSatisfies: any order", "linux/amd64+a+b", "linux/amd64+b+a",
       true},
      {"index.go: no platform is linux/amd64", "-", "linux/amd64", true},
      {"index.go: no platform is nothing else", "-", "linux/ppc64le", false},
      {"index.go: no platform has no variant", "-", "linux/amd64/v2", false},
      {"index.go: no normal form", "linux/x86_64", "linux/amd64", false},
  };
  for (const Row& row : table) {
    EXPECT_EQ(takes_alone("crane", row.required, row.given), row.matches) << row.source;
  }
}

TEST(RuntimeMatchGoContainerregistry, TakesTheFirst) {
  EXPECT_EQ(taken_of(index_of({"linux/amd64/v3", "linux/amd64"}), "crane", node_of("linux/amd64")),
            0);
  EXPECT_EQ(taken_of(index_of({"-", "linux/amd64"}), "kaniko", node_of("linux/amd64")), 0);
  // image_test.go, TestPullingManifestList
  EXPECT_EQ(taken_of(index_of({"not-real-os/not-real-arch", "linux/amd64", "-"}), "ko",
                     node_of("linux/amd64")),
            1);
}

// ---- the result matrix ---------------------------------------------------------------------

TEST(RuntimeMatch, TheResultMatrix) {
  struct Row {
    std::string entry;
    const char* node;
    bool old_containerd;
    bool new_containerd;
    bool crio;
    bool docker;
    bool ggcr;
  };
  const Row table[] = {
      {"linux/amd64", "linux/amd64", true, true, true, true, true},
      {"linux/amd64/v1", "linux/amd64", true, true, false, true, true},
      {"linux/amd64/v3", "linux/amd64", false, false, false, true, true},
      {"linux/x86_64", "linux/amd64", true, true, false, true, false},
      {"linux/x86-64", "linux/amd64", true, true, false, true, false},
      {"linux/ppc64le", "linux/ppc64le", true, true, true, true, true},
      {"linux/ppc64le/power9", "linux/ppc64le", false, false, false, false, true},
      {"linux/ppc64el", "linux/ppc64le", false, false, false, false, false},
      {"linux/amd64+x", "linux/amd64", true, false, true, false, true},
      {"unknown/unknown", "linux/amd64", false, false, false, false, false},
      {"unknown/unknown", "unknown/unknown", false, false, false, false, false},
      {"linux/amd64", "unknown/unknown", false, false, false, false, false},
      {"linux/unknown", "linux/unknown", false, false, false, false, false},
  };
  for (const Row& row : table) {
    const NodeMachine node = node_of(row.node, "v3");
    const Index list = index_of({row.entry});
    EXPECT_EQ(taken_of(list, "containerd:2.2", node) == 0, row.old_containerd) << row.entry;
    EXPECT_EQ(taken_of(list, "containerd:1.7", node) == 0, row.old_containerd) << row.entry;
    EXPECT_EQ(taken_of(list, "containerd:2.3", node) == 0, row.new_containerd) << row.entry;
    EXPECT_EQ(taken_of(list, "cri-o", node) == 0, row.crio) << row.entry;
    EXPECT_EQ(taken_of(list, "docker", node) == 0, row.docker) << row.entry;
    EXPECT_EQ(taken_of(list, "crane", node) == 0, row.ggcr) << row.entry;
  }
}

TEST(RuntimeMatch, EntriesWithoutPlatformComeLast) {
  const Index mixed = index_of({"-", "linux/amd64", "-"});
  const Index none = index_of({"linux/arm64", "-", "-"});
  for (const Runtime& runtime : known_runtimes()) {
    const bool is_old_docker = runtime == Runtime{RuntimeKind::docker, 20, 10};
    const bool is_ggcr = runtime.kind == RuntimeKind::go_containerregistry;
    EXPECT_EQ(taken_by(mixed, runtime, node_of("linux/amd64")), is_ggcr ? 0U : 1U);
    EXPECT_EQ(taken_by(none, runtime, node_of("linux/ppc64le")),
              is_ggcr || is_old_docker ? std::nullopt : std::optional<std::size_t>(1));
  }
}

TEST(RuntimeMatch, TheFirstOfEqualsIsRunAndOneOrAllArePulled) {
  const Index list = index_of({"linux/386", "linux/amd64", "linux/amd64/v1", "-"});
  EXPECT_THAT(reasons_for(list, "containerd:2.0", node_of("linux/amd64")),
              ElementsAre("would run, but linux/amd64 is better",
                          "run: ", "a second entry of this platform: never run",
                          "says no platform, and those that do come first: never run"));
  EXPECT_THAT(reasons_for(list, "containerd:2.1", node_of("linux/amd64")),
              ElementsAre("would run, but linux/amd64 is better", "run: ",
                          "pulled: a second entry of this platform: downloaded too, never run",
                          "pulled: says no platform, and those that do come first: "
                          "downloaded too, never run"));
}

/// The pull asks for amd64 itself; what is to run is looked for with the fallbacks.
TEST(RuntimeMatch, TheTransferServiceLeavesAFallbackThatIsThenLookedFor) {
  const Index list = index_of({"-", "linux/386", "linux/386"});
  EXPECT_EQ(taken_of(list, "containerd:2.0", node_of("linux/amd64")), 1);
  EXPECT_EQ(taken_of(list, "containerd:2.1", node_of("linux/amd64")), -1);
  EXPECT_THAT(
      reasons_for(list, "containerd:2.1", node_of("linux/amd64")),
      ElementsAre("pulled: says no platform: downloaded, but linux/386 is what then is looked for",
                  "is for linux/386: containerd would run it, but does not download fallbacks",
                  "is a fallback: containerd does not download those"));
}

TEST(RuntimeMatch, ReasonsAreThoseOfAPlatformEngineer) {
  EXPECT_EQ(reason_for("linux/amd64", "containerd", "linux/ppc64le"), "is for linux/amd64");
  EXPECT_EQ(reason_for("linux/ppc64le/power9", "containerd", "linux/ppc64le"),
            "variant power9: containerd wants exactly ppc64le");
  EXPECT_EQ(reason_for("linux/x86_64", "cri-o", "linux/amd64"),
            "architecture x86_64 is not understood by CRI-O: it compares amd64 letter by letter");
  EXPECT_EQ(reason_for("Linux/amd64", "cri-o", "linux/amd64"),
            "os Linux is not understood by CRI-O: it compares linux letter by letter");
  EXPECT_EQ(reason_for("linux/ppc64el", "containerd", "linux/ppc64le"),
            "architecture ppc64el is not understood by containerd: Go's name is ppc64le");
  EXPECT_EQ(reason_for("linux/armv7l", "ctr", "linux/arm/v7"),
            "architecture armv7l is not understood by containerd: Go's name is arm/v7");
  EXPECT_EQ(reason_for("linux/ppc64el", "containerd", "linux/amd64"), "is for linux/ppc64el");
  EXPECT_EQ(reason_for("linux/amd64/v3", "cri-o", "linux/amd64"),
            "variant v3: CRI-O wants exactly amd64");
  EXPECT_EQ(reason_for("linux/arm/v8", "ctr", "linux/arm/v7"),
            "variant v8 is more than the node's v7");
  EXPECT_EQ(reason_for("linux/ppc64le", "ctr", "linux/ppc64le/power9"),
            "has no variant: containerd wants exactly ppc64le/power9");
  EXPECT_EQ(
      reasons_for(index_of({"linux/amd64/v4"}), "docker", node_of("linux/amd64", "v3")).front(),
      "variant v4 is more than the node's v3");
  EXPECT_EQ(reason_for("unknown/unknown", "docker", "linux/amd64"),
            "is for unknown/unknown: an attestation, nothing that runs");
  EXPECT_EQ(reason_for("linux/amd64+gpu", "containerd", "linux/amd64"),
            "needs os.features gpu: not all are the node's");
  EXPECT_EQ(reason_for("linux/amd64+gpu", "containerd:2.2", "linux/amd64"),
            "run: os.features gpu not looked at by containerd: may not run");
  EXPECT_EQ(reason_for("linux/amd64/v3", "crane", "linux/amd64"),
            "run: variant v3 is not looked at by go-containerregistry: may not run");
  EXPECT_EQ(reason_for("linux/arm64/v8", "crane", "linux/arm64"), "run: ");
  EXPECT_EQ(reason_for("linux/386", "ctr", "linux/amd64"), "run: is for linux/386: a fallback");
  EXPECT_EQ(reason_for("-", "containerd", "linux/ppc64le"),
            "run: says no platform: runs only if its config says linux/ppc64le");
  EXPECT_EQ(reason_for("-", "crane", "linux/ppc64le"),
            "says no platform: go-containerregistry reads that as linux/amd64");
  EXPECT_EQ(reason_for("-", "crane", "linux/amd64"), "run: says no platform: read as linux/amd64");
  EXPECT_EQ(reason_for("linux/ppc64le", "containerd", "linux/ppc64le"), "run: ");
  Index nested = index_of({"linux/ppc64le"});
  nested.manifests[0].media_type = media_type::oci_index;
  EXPECT_THAT(reasons_for(nested, "containerd", node_of("linux/ppc64le")),
              ElementsAre("run: is a list itself: what runs is chosen in it"));
  EXPECT_THAT(
      reasons_for(index_of({"linux/amd64", "linux/amd64!"}), "cri-o", node_of("linux/amd64")),
      ElementsAre("a second entry of this platform, without zstd's mark: never run", "run: "));
}

TEST(RuntimeMatch, AnEmptyListIsAnAnswer) {
  for (const Runtime& runtime : known_runtimes()) {
    EXPECT_EQ(taken_by(Index{}, runtime, node_of("linux/amd64")), std::nullopt);
    EXPECT_THAT(choose_for(Index{}, runtime, node_of("linux/amd64")).verdicts, IsEmpty());
  }
}

// ---- random lists --------------------------------------------------------------------------

/// containerd's rules said slowly: the vector, a stable sort, the first.
std::optional<std::size_t> slowly_in_containerd(const Index& list, const Platform& node,
                                                bool looks_at_features, bool is_strict) {
  const std::vector<Platform> vector = compatible_platforms(node);
  std::vector<std::pair<std::pair<std::size_t, std::size_t>, std::size_t>> found;
  for (std::size_t i = 0; i < list.manifests.size(); ++i) {
    if (!list.manifests[i].platform) {
      found.push_back({{vector.size(), 0}, i});
      continue;
    }
    const Platform entry = normalize(*list.manifests[i].platform);
    const auto place = std::find_if(vector.begin(), vector.end(), [&](const Platform& one) {
      return one.os == entry.os && one.architecture == entry.architecture &&
             one.variant == entry.variant;
    });
    const bool fits =
        !looks_at_features ||
        std::all_of(entry.os_features.begin(), entry.os_features.end(), [&](auto& one) {
          return std::count(node.os_features.begin(), node.os_features.end(), one) > 0;
        });
    if (place != vector.end() && fits && entry.os != "unknown") {
      const std::size_t fewer = looks_at_features ? 100 - entry.os_features.size() : 0;
      found.push_back({{static_cast<std::size_t>(place - vector.begin()), fewer}, i});
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const bool is_missing = !found.empty() && is_strict && found[0].first.first != 0 &&
                          found[0].first.first != vector.size();
  return found.empty() || is_missing ? std::nullopt : std::optional(found[0].second);
}

class RandomLists {
 public:
  explicit RandomLists(unsigned seed) : engine_(seed) {}

  std::string platform() {
    static const std::vector<std::string> systems{"linux", "linux",   "linux",
                                                  "Linux", "windows", "unknown"};
    static const std::vector<std::string> architectures{
        "amd64", "x86_64", "X86-64",  "386",   "i386",    "arm",   "ARM",     "armhf", "armel",
        "arm64", "arm64",  "aarch64", "AMD64", "ppc64le", "s390x", "PPC64LE", "amd64", "ppc64el"};
    static const std::vector<std::string> variants{
        "",   "",   "",     "v1",   "v2",   "V3",   "v4",     "v5",   "v6",
        "v7", "v8", "v8.0", "v8.1", "v8.5", "v8.9", "v8.10",  "v9",   "V9.0",
        "7",  "8",  "9",    "9.0",  "v9.3", "v9.7", "power9", "v9.8", "x"};
    return any(systems) + "/" + any(architectures) + "/" + any(variants);
  }
  std::string entry() {
    if (below(12) == 0) {
      return "-";
    }
    std::string text = platform();
    for (std::size_t i = below(3); i > 1; --i) {
      text += "+" + std::string(1, static_cast<char>('a' + below(3)));
    }
    return below(5) == 0 ? text + "!" : text;
  }
  std::size_t below(std::size_t limit) { return engine_() % limit; }

 private:
  std::string any(const std::vector<std::string>& words) { return words[below(words.size())]; }

  std::mt19937 engine_;
};

TEST(RuntimeMatch, RandomListsAgreeWithTheSlowRules) {
  RandomLists random(7);
  int number_taken = 0;
  for (int round = 0; round < 20'000; ++round) {
    Index list;
    for (std::size_t i = random.below(8); i > 0; --i) {
      list.manifests.push_back(written(random.entry()));
    }
    const Platform node = normalize(*written(random.platform() + "+a+b").platform);
    if (node.os == "unknown") {
      continue;
    }
    const NodeMachine machine{node, ""};
    const auto agrees = [&](std::string_view runtime, bool features, bool strict) {
      const auto expected = slowly_in_containerd(list, node, features, strict);
      number_taken += expected ? 1 : 0;
      return taken_by(list, runtime_of(runtime), machine) == expected;
    };
    ASSERT_TRUE(agrees("containerd:1.7", false, false)) << node.str() << " round " << round;
    ASSERT_TRUE(agrees("containerd:2.1", false, true)) << node.str() << " round " << round;
    ASSERT_TRUE(agrees("containerd:2.3", true, true)) << node.str() << " round " << round;
    ASSERT_TRUE(agrees("ctr:2.3", true, false)) << node.str() << " round " << round;
    Platform able = node;
    able.variant = node.architecture == "amd64" ? "v3" : node.variant;
    ASSERT_EQ(taken_by(list, runtime_of("docker:29.5"), NodeMachine{node, "v3"}),
              slowly_in_containerd(list, able, false, false))
        << node.str() << " round " << round;
  }
  EXPECT_GT(number_taken, 10'000);
}

TEST(RuntimeMatch, VerdictsAgreeWithWhatIsTaken) {
  RandomLists random(11);
  for (int round = 0; round < 3'000; ++round) {
    Index list;
    list.format = random.below(3) == 0 ? Format::docker : Format::oci;
    for (std::size_t i = random.below(8); i > 0; --i) {
      list.manifests.push_back(written(random.entry()));
    }
    const NodeMachine node = node_of(random.platform(), random.below(2) == 0 ? "v3" : "");
    for (const Runtime& runtime : known_runtimes()) {
      const RuntimeChoice choice = choose_for(list, runtime, node);
      ASSERT_EQ(choice.taken, taken_by(list, runtime, node));
      ASSERT_EQ(choice.verdicts.size(), list.manifests.size());
      for (std::size_t i = 0; i < list.manifests.size(); ++i) {
        const EntryVerdict& verdict = choice.verdicts[i];
        ASSERT_EQ(verdict.is_taken, choice.taken == i);
        ASSERT_TRUE(verdict.is_pulled || !verdict.is_taken);
        ASSERT_TRUE(verdict.is_taken || !verdict.reason.empty());
      }
    }
  }
}

TEST(RuntimeMatch, HostileListsAreBounded) {
  Index list;
  const std::string odd(2'000, '\x1b');
  for (int i = 0; i < 10'000; ++i) {
    Descriptor entry = written(i % 2 == 0 ? "linux/amd64" : "linux/v\xff");
    entry.platform->variant = odd;
    entry.platform->os_features.assign(5, odd);
    list.manifests.push_back(std::move(entry));
  }
  for (const Runtime& runtime : known_runtimes()) {
    const RuntimeChoice choice = choose_for(list, runtime, node_of("linux/amd64", odd));
    for (const EntryVerdict& verdict : choice.verdicts) {
      ASSERT_LT(verdict.reason.size(), 400U);
      ASSERT_EQ(verdict.reason.find('\x1b'), std::string::npos);
    }
  }
}

// ---- names ---------------------------------------------------------------------------------

TEST(ParseRuntime, UnderstandsNamesAndVersions) {
  const std::pair<const char*, Runtime> table[] = {
      {"containerd", {RuntimeKind::containerd, 0, 0}},
      {"containerd:2.1", {RuntimeKind::containerd, 2, 1}},
      {"containerd://2.1.4", {RuntimeKind::containerd, 2, 1}},
      {"containerd://1.7.27-k3s1", {RuntimeKind::containerd, 1, 7}},
      {"containerd://2.0.5+unknown", {RuntimeKind::containerd, 2, 0}},
      {"containerd://v2.2.0-rc.1", {RuntimeKind::containerd, 2, 2}},
      {"ctr:1.7", {RuntimeKind::containerd_client, 1, 7}},
      {"nerdctl", {RuntimeKind::containerd_client, 0, 0}},
      {"cri-o://1.31.0", {RuntimeKind::crio, 1, 31}},
      {"cri-o://1.30.2", {RuntimeKind::crio, 1, 30}},
      {"CRI-O", {RuntimeKind::crio, 0, 0}},
      {"podman", {RuntimeKind::crio, 0, 0}},
      {"podman:5.2", {RuntimeKind::crio, 5, 2}},
      {"docker:27", {RuntimeKind::docker, 27, 0}},
      {"docker://24.0.7", {RuntimeKind::docker, 24, 0}},
      {"docker+containerd:28", {RuntimeKind::docker_containerd, 28, 0}},
      {"crane", {RuntimeKind::go_containerregistry, 0, 0}},
      {"ggcr:0.20", {RuntimeKind::go_containerregistry, 0, 20}},
  };
  for (const auto& [text, runtime] : table) {
    EXPECT_EQ(unwrap(parse_runtime(text)), runtime) << text;
  }
}

TEST(ParseRuntime, RefusesWhatItDoesNotKnow) {
  for (const char* text :
       {"", ":", "://", "runc", "containerd:", "containerd://", "containerd:two", "containerd:2.",
        "containerd:2.x", "containerd:12345", "containerd:2.99999", "containerd:2_1",
        "containerd:-1", "containerd 2.1", " docker"}) {
    EXPECT_THAT(parse_runtime(text), fails_with(ErrorCode::invalid_argument)) << text;
  }
  EXPECT_THAT(parse_runtime("dockre").error().hint(), HasSubstr("docker+containerd"));
  EXPECT_THAT(parse_runtime(std::string(1'000'000, 'x')), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(parse_runtime("containerd:\x1b[2J"), fails_with(ErrorCode::invalid_argument));
}

TEST(KnownRuntimes, HaveNamesAndComeOldestFirst) {
  std::vector<std::string> names;
  for (const Runtime& runtime : known_runtimes()) {
    names.push_back(runtime.str());
  }
  EXPECT_THAT(names, ElementsAre("containerd 1.7", "containerd 2.1", "containerd 2.3",
                                 "containerd's client 1.7", "containerd's client 2.3", "CRI-O",
                                 "Docker 20.10", "Docker 23.0", "Docker 29.6",
                                 "Docker 25.0 (containerd's image store)",
                                 "Docker 29.6 (containerd's image store)", "go-containerregistry"));
  EXPECT_EQ(unwrap(parse_runtime("podman:5.2")).str(), "Podman 5.2");
  EXPECT_EQ(unwrap(parse_runtime("docker+containerd")).str(), "Docker (containerd's image store)");
}

}  // namespace
}  // namespace fnimage::manifest
