// Packages and scripts as an attacker makes them. A14: the breakouts as a package's files. A16:
// bombs in a package. A17: scripts that work without end. A18: the archive itself: sizes, order and
// modes of members, links in place of directories.
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/breakouts.hpp>
#include <fnimage/test/raw_tar.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/configure/account_scripts.hpp"
#include "debian/configure/alternatives.hpp"
#include "debian/configure/shell.hpp"
#include "debian/layout.hpp"
#include "debian/package.hpp"

namespace fnimage::source::debian {
namespace {

namespace fs = std::filesystem;

using test::Breakout;
using test::fails_with;
using test::is_ok;
using test::raw_ar_member;
using test::raw_deb;
using test::raw_directory;
using test::raw_file;
using test::raw_symlink;
using test::raw_tar;
using test::TempDir;
using test::unwrap;
using ::testing::HasSubstr;

const std::string good_control =
    raw_tar({raw_file("./control", "Package: a\nVersion: 1\nArchitecture: all\n")});
constexpr std::array<std::size_t, 2> one_layer_for_two{};
const std::string good_data = raw_tar({raw_directory("./usr"), raw_file("./usr/x", "1")});

Result<UnpackedPackage> unpack_deb(const std::string& deb, const TempDir& temp) {
  const fs::path path = temp.write("x.deb", deb);
  return unpack_package({.what = "the package",
                         .sha256 = manifest::Digest::of(deb),
                         .fetch = [path] { return Result<fs::path>(path); }},
                        temp.path() / "cache");
}

DebianPackage package_named(std::string name) {
  return {.name = std::move(name),
          .version = "1",
          .architecture = "amd64",
          .suite = "",
          .file = "",
          .sha256 = manifest::Digest::of("x"),
          .size = 1};
}

TEST(HostilePackage, BreakoutsStayWithinTheTree) {
  const TempDir outside;
  outside.write("sentinel", "untouched");
  const TempDir temp;
  for (const Breakout& breakout : test::breakouts(outside.path().string())) {
    SCOPED_TRACE(breakout.name);
    const auto base = unpack_deb(raw_deb(good_control, raw_tar(breakout.base)), temp);
    const auto attack = unpack_deb(raw_deb(good_control, raw_tar(breakout.attack)), temp);
    ASSERT_THAT(base, is_ok());
    if (breakout.refused) {
      EXPECT_THAT(attack, fails_with(ErrorCode::invalid_input, HasSubstr("the package")));
      continue;
    }
    ASSERT_THAT(attack, is_ok());
    const std::vector<DebianPackage> packages{package_named("a"), package_named("b")};
    std::vector<UnpackedPackage> unpacked{*base, *attack};
    const auto layout = lay_out(packages, unpacked, one_layer_for_two, {});
    if (!layout) {
      EXPECT_EQ(layout.error().code(), ErrorCode::invalid_input) << layout.error().describe();
      continue;
    }
    for (const auto& [path, entry] : layout->tree.entries()) {
      EXPECT_EQ(unwrap(layer::clean_path(path)), path);
      if (entry.content) {
        EXPECT_NE(unwrap(read_all(*unwrap(entry.content->open()), 100)), "untouched") << path;
      }
    }
  }
  EXPECT_EQ(outside.list(), std::vector<std::string>{"sentinel"});
  EXPECT_EQ(outside.read("sentinel"), "untouched");
  EXPECT_THAT(temp.list(), ::testing::UnorderedElementsAre("cache", "x.deb"));
}

std::string with_ar_size(std::string member, std::string size) {
  size.resize(10, ' ');
  return member.replace(48, 10, size);
}

TEST(HostilePackage, MembersThatLieAreRefused) {
  const std::string magic = "!<arch>\n";
  const std::string version = raw_ar_member("debian-binary", "2.0\n");
  const std::string control = raw_ar_member("control.tar", good_control);
  const std::string data = raw_ar_member("data.tar", good_data);
  const TempDir temp;
  ASSERT_THAT(unpack_deb(magic + version + control + data, temp), is_ok());
  const std::vector<std::pair<std::string, std::string>> broken{
      {"data before control", magic + version + data + control},
      {"no version", magic + control + data},
      {"version last", magic + control + data + version},
      {"no data", magic + version + control},
      {"no control", magic + version + data},
      {"an empty control archive", magic + version + raw_ar_member("control.tar", "") + data},
      {"another version", magic + raw_ar_member("debian-binary", "3.0\n") + control + data},
      {"a long version", magic + raw_ar_member("debian-binary", std::string(5000, '2')) + data},
      {"a size past the end", magic + version + control + with_ar_size(data, "9999999999")},
      {"a negative size", magic + version + control + with_ar_size(data, "-1")},
      {"a size in hex", magic + version + control + with_ar_size(data, "0x100")},
      {"no size", magic + version + control + with_ar_size(data, "")},
      {"a size that hides the next member",
       magic + version + with_ar_size(control, std::to_string(control.size() + data.size())) +
           data},
      {"a size that is too small", magic + version + control + with_ar_size(data, "512")},
      {"a name with a slash", magic + version + control + raw_ar_member("a/data.tar", "x")},
      {"a table of names", magic + version + raw_ar_member("//", "data.tar") + control + data},
      {"BSD's long name", magic + version + raw_ar_member("#1/8", "data.tar") + control + data},
      {"cut in a header", (magic + version + control + data).substr(0, 100)},
      {"an unknown compression", magic + version + control + raw_ar_member("data.tar.lzma", "x")},
  };
  for (const auto& [name, deb] : broken) {
    EXPECT_THAT(unpack_deb(deb, temp), fails_with(ErrorCode::invalid_input)) << name;
  }
}

TEST(HostilePackage, MembersOfTheSameNameCountOnce) {
  const TempDir temp;
  const std::string second =
      raw_tar({raw_file("./control", "Package: b\nVersion: 2\nArchitecture: all\n")});
  const std::string deb = "!<arch>\n" + raw_ar_member("debian-binary", "2.0\n") +
                          raw_ar_member("control.tar", good_control) +
                          raw_ar_member("control.tar", second) +
                          raw_ar_member("data.tar", good_data) +
                          raw_ar_member("data.tar", raw_tar({raw_file("./evil", "x")}));
  const UnpackedPackage package = unwrap(unpack_deb(deb, temp));
  EXPECT_THAT(package.control_file("control"), HasSubstr("Package: a"));
  EXPECT_EQ(package.entries.size(), 2U);
  EXPECT_EQ(package.file_list, "/.\n/usr\n/usr/x\n");
}

// dpkg left a control directory of mode 0 behind (CVE-2025-6297); here modes of it mean nothing.
TEST(HostilePackage, ModesAndKindsInTheControlArchiveMeanNothing) {
  const TempDir temp;
  const std::string control =
      raw_tar({raw_directory("./", 0), raw_directory("./sub", 0),
               raw_symlink("./postinst", "/etc/passwd"), raw_file("./sub/x", "1", 0),
               raw_file("./control", "Package: a\nVersion: 1\nArchitecture: all\n", 04777)});
  const UnpackedPackage package = unwrap(unpack_deb(raw_deb(control, good_data), temp));
  EXPECT_EQ(package.control_file("postinst"), "");
  EXPECT_THAT(package.control_file("control"), HasSubstr("Package: a"));
  EXPECT_EQ(unwrap(unpack_deb(raw_deb(control, good_data), temp)).control, package.control);
}

TEST(HostilePackage, ControlFilesNamedOutsideAreRefused) {
  const TempDir temp;
  EXPECT_THAT(
      unpack_deb(raw_deb(raw_tar({raw_file("../../control", "Package: a\n")}), good_data), temp),
      fails_with(ErrorCode::invalid_input));
}

// A documentation directory that is a link elsewhere (dpkg CVE-2022-1664 and its like).
TEST(HostilePackage, LinksInPlaceOfDirectoriesDoNotLeadOut) {
  const TempDir outside;
  outside.write("copyright", "untouched");
  const TempDir temp;
  const auto first = unwrap(unpack_deb(
      raw_deb(good_control, raw_tar({raw_symlink("./usr/share/doc/a", outside.path().string())})),
      temp));
  const auto second = unwrap(unpack_deb(
      raw_deb(good_control, raw_tar({raw_directory("./usr/share/doc/a"),
                                     raw_file("./usr/share/doc/a/copyright", "written")})),
      temp));
  const std::vector<DebianPackage> packages{package_named("a"), package_named("b")};
  std::vector<UnpackedPackage> unpacked{first, second};
  const auto layout = lay_out(packages, unpacked, one_layer_for_two, {});
  ASSERT_THAT(layout, is_ok());
  for (const auto& [path, entry] : layout->tree.entries()) {
    EXPECT_EQ(unwrap(layer::clean_path(path)), path);
  }
  EXPECT_EQ(outside.read("copyright"), "untouched");
}

TEST(HostilePackage, ControlArchivesThatGrowAreRefused) {
  const TempDir temp;
  test::RawTarEntry huge = raw_file("./control", "");
  huge.size = std::uint64_t{1} << 32U;
  EXPECT_THAT(unpack_deb(raw_deb(raw_tar({huge}), good_data), temp),
              fails_with(ErrorCode::invalid_input, HasSubstr("more than")));
}

// A17. What is bounded is counted, not timed.
const ShellValues known = shell_values("amd64", "x86_64-linux-gnu");

std::size_t bytes_of(const std::vector<ShellCommand>& commands) {
  std::size_t bytes = 0;
  for (const ShellCommand& command : commands) {
    for (const std::string& word : command.words) {
      bytes += word.size();
    }
  }
  return bytes;
}

TEST(HostileScript, ValuesThatDoubleEnd) {
  std::string script = "a=xxxxxxxxxxxxxxxx\n";
  for (int i = 0; i < 64; ++i) {
    script += "a=$a$a\n";
  }
  script += "tool $a\n";
  const auto commands = simple_commands(script, known);
  ASSERT_EQ(commands.size(), 1U);
  EXPECT_FALSE(commands[0].exact);
  EXPECT_LT(bytes_of(commands), 100'000U);
}

TEST(HostileScript, WordsThatRepeatAValueEnd) {
  std::string script = "a=" + std::string(4000, 'x') + "\ntool ";
  for (int i = 0; i < 100'000; ++i) {
    script += "$a";
  }
  const auto commands = simple_commands(script, known);
  ASSERT_EQ(commands.size(), 1U);
  EXPECT_FALSE(commands[0].exact);
  EXPECT_LT(bytes_of(commands), 100'000U);
  script = "a=" + std::string(4000, 'x') + "\ntool";
  for (int i = 0; i < 100'000; ++i) {
    script += " $a";
  }
  EXPECT_LT(bytes_of(simple_commands(script, known)), std::size_t{65} << 20U);
}

TEST(HostileScript, LoopsThatSayNothingEnd) {
  std::string list;
  for (int i = 0; i < 1000; ++i) {
    list += " x";
  }
  std::string script;
  for (int depth = 0; depth < 8; ++depth) {
    script += fmt::format("for v{} in{}; do\n", depth, list);  // 10^24 rounds
  }
  for (int depth = 0; depth < 8; ++depth) {
    script += "done\n";
  }
  EXPECT_TRUE(simple_commands(script, known).empty());
}

TEST(HostileScript, PipesAreNotReadAgainForEachCommand) {
  std::string script;
  for (int i = 0; i < 200'000; ++i) {
    script += "a|";
  }
  EXPECT_LE(simple_commands(script, known).size(), 20'000U);
}

}  // namespace
}  // namespace fnimage::source::debian
