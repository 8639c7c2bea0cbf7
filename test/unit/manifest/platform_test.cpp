// Platform names: parsing, containerd's normal form, Debian's words.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/platform.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::manifest {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

struct Names {
  const char* input;
  const char* normal;
};

TEST(Platform, ParsesIntoTheNormalForm) {
  constexpr Names table[] = {
      {"linux/amd64", "linux/amd64"},
      {"linux/ppc64le", "linux/ppc64le"},
      {"ppc64le", "linux/ppc64le"},
      {"amd64", "linux/amd64"},
      {"x86_64", "linux/amd64"},
      {"x86-64", "linux/amd64"},
      {"Linux/x86_64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"},
      {"linux/amd64/v3", "linux/amd64/v3"},
      {"linux/AMD64/V2", "linux/amd64/v2"},
      {"Aarch64", "linux/arm64"},
      {"linux/arm64/v8", "linux/arm64"},
      {"linux/arm64/8", "linux/arm64"},
      {"linux/arm64/v8.0", "linux/arm64"},
      {"linux/arm64/v8.2", "linux/arm64/v8.2"},
      {"linux/arm64/v9.0", "linux/arm64/v9"},
      {"linux/arm", "linux/arm/v7"},
      {"linux/arm/7", "linux/arm/v7"},
      {"linux/arm/v6", "linux/arm/v6"},
      {"linux/arm/5", "linux/arm/v5"},
      {"armhf", "linux/arm/v7"},
      {"armel", "linux/arm/v6"},
      {"i386", "linux/386"},
      {"s390x", "linux/s390x"},
      {"linux/ppc64le/power9", "linux/ppc64le/power9"},
      {"macOS/arm64", "darwin/arm64"},
      {"windows/amd64", "windows/amd64"},
      {"linux/newarch", "linux/newarch"},
  };
  for (const Names& row : table) {
    EXPECT_EQ(unwrap(Platform::parse(row.input)).str(), row.normal) << row.input;
  }
}

TEST(Platform, RefusesWhatIsNot) {
  const std::string bad[] = {"",
                             "/",
                             "linux/",
                             "/amd64",
                             "linux//v7",
                             "linux/arm/v7/x",
                             "linux",
                             "windows",
                             "nosuch",
                             "linux/..",
                             "linux/a b",
                             "linux/amd64\n",
                             "linus/amd64",
                             "linux/.hidden",
                             "linux/" + std::string(65, 'a')};
  for (const std::string& text : bad) {
    EXPECT_THAT(Platform::parse(text), fails_with(ErrorCode::invalid_argument)) << text;
  }
}

TEST(Platform, HintsNameTheRightWord) {
  for (const char* text : {"ppc64el", "linux/ppc64el", "linux/PPC64EL", "powerpc64le"}) {
    const auto result = Platform::parse(text);
    ASSERT_THAT(result, fails_with(ErrorCode::invalid_argument)) << text;
    EXPECT_THAT(result.error().hint(), HasSubstr("write ppc64le"));
  }
  EXPECT_THAT(Platform::parse("amd46").error().hint(), HasSubstr("amd64"));
  EXPECT_THAT(Platform::parse("linus/amd64").error().hint(), HasSubstr("linux"));
}

TEST(Platform, Ppc64elIsNoAliasInTheNormalForm) {
  EXPECT_EQ(normalize(Platform{"linux", "ppc64el", {}, {}, {}}).architecture, "ppc64el");
}

TEST(Platform, NormalFormIsStable) {
  for (const char* text : {"linux/arm64/v9.0", "linux/arm/5", "i386", "x86_64", "armel"}) {
    const Platform once = unwrap(Platform::parse(text));
    EXPECT_EQ(normalize(once), once);
  }
}

TEST(Platform, TagSuffix) {
  EXPECT_EQ(unwrap(Platform::parse("linux/ppc64le")).tag_suffix(), "ppc64le");
  EXPECT_EQ(unwrap(Platform::parse("linux/arm/v7")).tag_suffix(), "arm-v7");
  EXPECT_EQ(unwrap(Platform::parse("windows/amd64")).tag_suffix(), "windows-amd64");
}

struct SaidWords {
  Platform platform;
  const char* problem;  ///< empty = fine
  const char* hint = "";
};

TEST(Platform, WordsThatAListCannotHoldAreRefused) {
  const SaidWords table[] = {
      {{"linux", "x86_64", "", "10.0.14393", {"win32k"}}, ""},
      {{"", "", "", "", {}}, ""},
      {{"", "a b/c", "", "", {}}, "\"a b/c\" cannot be the architecture of a platform"},
      {{"UPPER CASE!", "", "", "", {}}, "cannot be the os"},
      {{"", "", "-v7", "", {}}, "cannot be the variant"},
      {{"", "", "", "1 2", {}}, "cannot be the os version"},
      {{"", "", "", "", {"a", "b c"}}, "cannot be an os feature"},
      {{"", "PPC64EL", "", "", {}}, "is not Go's name", "write ppc64le"}};
  for (const SaidWords& row : table) {
    const Result<void> checked = check_words(row.platform);
    if (*row.problem == '\0') {
      EXPECT_THAT(checked, is_ok());
      continue;
    }
    EXPECT_THAT(checked, fails_with(ErrorCode::invalid_argument, HasSubstr(row.problem)));
    EXPECT_THAT(checked.error().hint(), HasSubstr(row.hint));
  }
}

struct Debian {
  const char* platform;
  const char* architecture;
  const char* triplet;
};

TEST(Platform, DebianNames) {
  constexpr Debian table[] = {{"amd64", "amd64", "x86_64-linux-gnu"},
                              {"linux/amd64/v3", "amd64", "x86_64-linux-gnu"},
                              {"ppc64le", "ppc64el", "powerpc64le-linux-gnu"},
                              {"arm64", "arm64", "aarch64-linux-gnu"},
                              {"arm/v7", "armhf", "arm-linux-gnueabihf"},
                              {"armel", "armel", "arm-linux-gnueabi"},
                              {"386", "i386", "i386-linux-gnu"},
                              {"s390x", "s390x", "s390x-linux-gnu"},
                              {"riscv64", "riscv64", "riscv64-linux-gnu"}};
  for (const Debian& row : table) {
    const std::string text = std::string(row.platform) == "arm/v7" ? "linux/arm/v7" : row.platform;
    const Platform platform = unwrap(Platform::parse(text));
    EXPECT_EQ(debian_architecture(platform), row.architecture) << text;
    EXPECT_EQ(multiarch_triplet(platform), row.triplet) << text;
  }
  EXPECT_EQ(debian_architecture(unwrap(Platform::parse("windows/amd64"))), std::nullopt);
  EXPECT_EQ(multiarch_triplet(unwrap(Platform::parse("wasm"))), std::nullopt);
}

TEST(Platform, HostIsInNormalForm) {
  const Platform host = host_platform();
  EXPECT_EQ(host.os, "linux");
  EXPECT_EQ(normalize(host), host);
  if (host.architecture != "arm") {
    EXPECT_EQ(host.variant, "");
  }
}

}  // namespace
}  // namespace fnimage::manifest
