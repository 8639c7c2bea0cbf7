// dpkg's database as a list of packages: states, sources, who satisfies a dependency, and databases
// that are damaged or made to do harm.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/source/installed.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::source {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Result<InstalledPackages> read(std::string_view status) {
  return read_installed({{.name = "/var/lib/dpkg/status", .text = status}});
}

std::string paragraph(std::string_view name, std::string_view more = {},
                      std::string_view version = "1", std::string_view architecture = "ppc64el") {
  return fmt::format(
      "Package: {}\nStatus: install ok installed\nArchitecture: {}\nVersion: {}\n{}\n", name,
      architecture, version, more);
}

/// "a -> b c": each package with what it needs.
std::vector<std::string> edges(const InstalledPackages& installed) {
  std::vector<std::string> lines;
  for (const InstalledPackage& package : installed.packages) {
    std::string line = package.name + " ->";
    for (const std::size_t needed : package.depends) {
      line += " " + installed.packages[needed].name;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

TEST(Installed, ReadsWhatAPackageSays) {
  const auto installed = unwrap(read(
      "Package: libstdc++6\nStatus: install ok installed\nPriority: optional\n"
      "Installed-Size: 2745\nMaintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>\n"
      "Architecture: ppc64el\nMulti-Arch: same\nSource: gcc-12 (12.2.0-14)\n"
      "Version: 12.2.0-14+b1\nDescription: GNU Standard C++ Library v3\n This package has a "
      "library.\n .\n More of it.\nHomepage: http://gcc.gnu.org/\n"));
  ASSERT_THAT(installed.packages, SizeIs(1));
  const InstalledPackage& package = installed.packages[0];
  EXPECT_EQ(package.name, "libstdc++6");
  EXPECT_EQ(package.version, "12.2.0-14+b1");
  EXPECT_EQ(package.architecture, "ppc64el");
  EXPECT_EQ(package.source, "gcc-12");
  EXPECT_EQ(package.source_version, "12.2.0-14");
  EXPECT_EQ(package.maintainer, "Debian GCC Maintainers <debian-gcc@lists.debian.org>");
  EXPECT_EQ(package.homepage, "http://gcc.gnu.org/");
  EXPECT_EQ(package.summary, "GNU Standard C++ Library v3");
  EXPECT_EQ(package.installed_kib, 2745U);
}

TEST(Installed, TheSourceIsThePackageUnlessSaidOtherwise) {
  const auto installed =
      unwrap(read(paragraph("a", "", "1:2-3") + "\n" + paragraph("b", "Source: c\n", "4") + "\n" +
                  paragraph("d", "Source: e (", "5")));
  EXPECT_EQ(installed.packages[0].source, "a");
  EXPECT_EQ(installed.packages[0].source_version, "1:2-3");
  EXPECT_EQ(installed.packages[1].source, "c");
  EXPECT_EQ(installed.packages[1].source_version, "4");
  EXPECT_EQ(installed.packages[2].source, "e");
}

TEST(Installed, OnlyWhatHasFiles) {
  std::string status;
  for (const std::string_view state :
       {"install ok installed", "hold ok installed", "install ok half-configured",
        "install ok triggers-pending", "install reinstreq half-installed",
        "deinstall ok config-files", "unknown ok not-installed"}) {
    status += fmt::format("Package: p{}\nStatus: {}\nVersion: 1\nArchitecture: all\n\n",
                          status.size(), state);
  }
  EXPECT_THAT(unwrap(read(status)).packages, SizeIs(5));
  EXPECT_THAT(unwrap(read("Package: gone\nStatus: purge ok not-installed\n")).packages, IsEmpty())
      << "dpkg keeps no version of these";
}

TEST(Installed, SortedAndEachOnce) {
  const auto installed = unwrap(
      read_installed({{.name = "status", .text = paragraph("b") + "\n" + paragraph("a", "", "2")},
                      {.name = "status.d/a",
                       .text = "Package: a\nVersion: 2\n"
                               "Architecture: ppc64el\n"},
                      {.name = "status.d/c", .text = paragraph("a", "", "1", "amd64")}}));
  ASSERT_THAT(installed.packages, SizeIs(3));
  EXPECT_EQ(installed.packages[0].architecture, "amd64");
  EXPECT_EQ(installed.packages[1].architecture, "ppc64el");
  EXPECT_EQ(installed.packages[2].name, "b");
}

TEST(Installed, DependenciesAmongWhatIsThere) {
  const auto installed = unwrap(read(
      paragraph("app",
                "Pre-Depends: init\nDepends: libc6 (>= 2), absent | mta, python3:any, "
                "not-here\n") +
      "\n" + paragraph("init", "Depends: app\n") + "\n" + paragraph("libc6", "", "2.36") + "\n" +
      paragraph("postfix", "Provides: mta, mail (= 3)\n") + "\n" + paragraph("python3") + "\n" +
      paragraph("reader", "Depends: mail (>= 4) | libc6 (<< 2), mail (>= 2)\n")));
  EXPECT_THAT(edges(installed),
              ElementsAre("app -> init libc6 postfix python3", "init -> app", "libc6 ->",
                          "postfix ->", "python3 ->", "reader -> postfix"));
  EXPECT_THAT(installed.faults, IsEmpty());
}

TEST(Installed, TheSameArchitectureComesFirst) {
  const auto installed = unwrap(read(paragraph("app", "Depends: lib\n", "1", "ppc64el") + "\n" +
                                     paragraph("lib", "", "1", "amd64") + "\n" + paragraph("lib") +
                                     "\n" + paragraph("tool", "Depends: only:any\n") + "\n" +
                                     paragraph("only", "", "1", "amd64")));
  ASSERT_THAT(installed.packages[0].depends, SizeIs(1));
  EXPECT_EQ(installed.packages[installed.packages[0].depends[0]].architecture, "ppc64el");
  EXPECT_THAT(edges(installed).back(), "tool -> only");
}

TEST(Installed, UnreadableDependenciesAreFaultsNotErrors) {
  const auto installed =
      unwrap(read(paragraph("a", "Depends: b (>= , c\n") + "\n" + paragraph("b") + "\n" +
                  paragraph("c", fmt::format("Depends: {}\n", std::string(200'000, 'x')))));
  EXPECT_THAT(edges(installed), ElementsAre("a ->", "b ->", "c ->"));
  EXPECT_THAT(installed.faults,
              ElementsAre(HasSubstr("a: not a package relation"), HasSubstr("too long")));
}

TEST(Installed, DamageIsNamedByFileAndLine) {
  EXPECT_THAT(read("Package: a\nno field\n"),
              fails_with(ErrorCode::invalid_input,
                         AllOf(HasSubstr("/var/lib/dpkg/status:2"), HasSubstr("no field"))));
  EXPECT_THAT(read(" continuation\n"), fails_with(ErrorCode::invalid_input));
  EXPECT_THAT(
      read("Package: a\nStatus: install ok installed\nArchitecture: all\n"),
      fails_with(ErrorCode::invalid_input, HasSubstr("an installed package a has no Version")));
  EXPECT_THAT(read("Status: install ok installed\nVersion: 1\n"),
              fails_with(ErrorCode::invalid_input, HasSubstr("no Package")));
  EXPECT_THAT(read(paragraph(std::string(300, 'n'))),
              fails_with(ErrorCode::invalid_input, HasSubstr("too long a Package")));
}

TEST(Installed, LongTextsAreCutBetweenCharacters) {
  std::string maintainer = "x";
  for (int i = 0; i < 400; ++i) {
    maintainer += "\xc3\xbc";
  }
  const auto installed = unwrap(read(paragraph("a", "Maintainer: " + maintainer + "\n")));
  EXPECT_THAT(installed.packages[0].maintainer, SizeIs(511));
  EXPECT_TRUE(installed.packages[0].maintainer.ends_with("\xc3\xbc"));
}

TEST(Installed, HugeDatabasesAreBounded) {
  std::string many;
  for (int i = 0; i < 10'001; ++i) {
    many += paragraph(fmt::format("p{}", i)) + "\n";
  }
  EXPECT_THAT(read(many), fails_with(ErrorCode::invalid_input, HasSubstr("more than 10000")));

  // Everything depends on everything.
  std::string all;
  for (int i = 0; i < 400; ++i) {
    all += fmt::format("{}p{}", i > 0 ? ", " : "", i);
  }
  std::string tangle;
  for (int i = 0; i < 400; ++i) {
    tangle += paragraph(fmt::format("p{}", i), "Depends: " + all + "\n") + "\n";
  }
  EXPECT_THAT(read(tangle), fails_with(ErrorCode::invalid_input, HasSubstr("dependencies")));

  // More names to look up than anybody waits for: what was not looked at is said.
  std::string wide;
  std::string names;
  for (int i = 0; i < 20'000; ++i) {
    names += i > 0 ? "|q" : "q";
  }
  for (int i = 0; i < 100; ++i) {
    wide += paragraph(fmt::format("p{}", i), "Depends: " + names + "\n") + "\n";
  }
  const auto installed = unwrap(read(wide));
  EXPECT_THAT(installed.packages, SizeIs(100));
  EXPECT_THAT(installed.faults, ElementsAre(HasSubstr("more dependencies")));
  EXPECT_THAT(unwrap(read(std::string(1'000'000, '\n'))).packages, IsEmpty());
  std::string fields;
  for (int i = 0; i < 100'000; ++i) {
    fields += "a:\n";
  }
  EXPECT_THAT(unwrap(read(paragraph("deep", fields))).packages, SizeIs(1));
}

TEST(Installed, BytesThatAreNoTextStay) {
  const auto installed = unwrap(read(paragraph("a", "Maintainer: \xff\xfe\x01<x@y>\n")));
  EXPECT_EQ(installed.packages[0].maintainer, "\xff\xfe\x01<x@y>");
}

}  // namespace
}  // namespace fnimage::source
