// ELF objects: real ones against readelf(1), made ones of every form, and hostile ones.
#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>
#include <fnimage/elf/object.hpp>
#include <fnimage/test/elf_file.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::elf {
namespace {

using test::ElfFile;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Object parse(const std::string& bytes) {
  return unwrap(read_object(*memory_content(bytes), "it"));
}

ElfFile library() {
  return {.interpreter = "/lib64/ld-linux-x86-64.so.2",
          .soname = "libx.so.1",
          .needed = {"liby.so.2", "libc.so.6"},
          .rpath = "/opt/r",
          .runpath = "$ORIGIN/../lib",
          .no_default_directories = true,
          .version_needs = {{"liby.so.2", {"Y_1", "?Y_2"}}, {"libc.so.6", {"GLIBC_2.34"}}},
          .versions = {"X_1", "X_2"}};
}

TEST(Object, EveryFieldInEveryForm) {
  for (const int bits : {32, 64}) {
    for (const bool big : {false, true}) {
      ElfFile file = library();
      file.bits = bits;
      file.big_endian = big;
      file.machine = 21;
      file.flags = 2;
      const Object object = parse(file.bytes());
      EXPECT_EQ(object.identity, (Identity{.bits = static_cast<std::uint8_t>(bits),
                                           .order = big ? ByteOrder::big : ByteOrder::little,
                                           .machine = Machine::ppc64,
                                           .type = 3,
                                           .flags = 2}));
      EXPECT_TRUE(object.identity.is_loadable());
      EXPECT_EQ(object.interpreter, "/lib64/ld-linux-x86-64.so.2");
      EXPECT_TRUE(object.dynamic);
      EXPECT_EQ(object.soname, "libx.so.1");
      EXPECT_THAT(object.needed, ElementsAre("liby.so.2", "libc.so.6"));
      EXPECT_EQ(object.rpath, "/opt/r");
      EXPECT_EQ(object.runpath, "$ORIGIN/../lib");
      EXPECT_TRUE(object.no_default_directories);
      ASSERT_EQ(object.version_needs.size(), 2U);
      EXPECT_EQ(object.version_needs[0].library, "liby.so.2");
      EXPECT_THAT(object.version_needs[0].versions, ElementsAre("Y_1")) << "Y_2 is weak";
      EXPECT_THAT(object.version_needs[1].versions, ElementsAre("GLIBC_2.34"));
      EXPECT_THAT(object.versions, ElementsAre("X_1", "X_2"));
    }
  }
}

TEST(Object, LargeStringTablesAreReadInPieces) {
  ElfFile file = library();
  file.versions.assign(1, std::string(1500, 'v'));
  for (int i = 0; i < 1000; ++i) {
    file.needed.push_back(std::string(1500, 'n') + std::to_string(i));
  }
  const Object object = parse(file.bytes());
  EXPECT_THAT(object.needed.back(), ::testing::EndsWith("n999"));
  EXPECT_EQ(object.needed.size(), 1002U);
  EXPECT_EQ(object.versions.front().size(), 1500U);
}

TEST(Object, ManyVersionsAreReadToo) {
  ElfFile file = library();
  for (int i = 0; i < 2000; ++i) {
    file.versions.push_back("V" + std::to_string(i));
    file.version_needs[0].second.push_back("N" + std::to_string(i));
  }
  const Object object = parse(file.bytes());
  EXPECT_EQ(object.versions.size(), 2002U);
  EXPECT_EQ(object.version_needs[0].versions.size(), 2001U);
  EXPECT_EQ(object.version_needs.size(), 2U);
}

TEST(Object, NamesMachinesForPeople) {
  EXPECT_EQ(unwrap(read_object(*memory_content(ElfFile().bytes()), "it")).identity.str(),
            "64-bit little-endian x86-64");
  EXPECT_EQ(parse(ElfFile().for_ppc64le().bytes()).identity.str(),
            "64-bit little-endian PowerPC, ELFv2");
  EXPECT_EQ(parse(ElfFile{.bits = 32, .machine = 999}.bytes()).identity.str(),
            "32-bit little-endian machine 999");
}

TEST(Object, RelocatableObjectsAreNotLoaded) {
  EXPECT_FALSE(parse(ElfFile{.type = 1}.bytes()).identity.is_loadable());
  EXPECT_TRUE(parse(ElfFile{.type = 2}.bytes()).identity.is_loadable());
}

TEST(Object, WhatIsNoObjectIsNone) {
  const std::string whole = ElfFile().bytes();
  EXPECT_FALSE(parse_identity(as_bytes("#!/bin/sh\n")));
  EXPECT_FALSE(parse_identity(as_bytes(whole.substr(0, 63))));
  for (const std::size_t field : {4U, 5U}) {
    std::string other = whole;
    other[field] = 3;
    EXPECT_FALSE(parse_identity(as_bytes(other))) << field;
  }
  EXPECT_THAT(read_object(*memory_content("text"), "/bin/x"),
              fails_with(ErrorCode::invalid_input, HasSubstr("/bin/x")));
}

// Whatever stands in a file, it is read as something or refused: the sanitizers watch.
TEST(Object, CutAnywhereItIsRefusedOrReadAsLess) {
  const std::string whole = library().bytes();
  std::size_t refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    refused += read_object(*memory_content(whole.substr(0, size)), "it") ? 0U : 1U;
  }
  EXPECT_GT(refused, whole.size() / 2);
}

TEST(Object, AnyByteMayBeWrong) {
  for (const int bits : {32, 64}) {
    ElfFile file = library();
    file.bits = bits;
    const std::string whole = file.bytes();
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const char wrong : {'\0', '\1', '\x7f', '\xff'}) {
        std::string bytes = whole;
        bytes[at] = wrong;
        const auto read = read_object(*memory_content(bytes), "it");
        EXPECT_TRUE(read || read.error().code() == ErrorCode::invalid_input);
      }
    }
  }
}

TEST(Object, TooManyVersionsAreRefused) {
  ElfFile file = library();
  file.version_needs.assign(20, {"liby.so.2", std::vector<std::string>(4000, "V")});
  EXPECT_THAT(read_object(*memory_content(file.bytes()), "it"),
              fails_with(ErrorCode::invalid_input, HasSubstr("versions")));
}

// --- real ones ---

std::string output_of(const std::string& command) {
  std::string output;
  std::array<char, 4096> buffer{};
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    output.append(buffer.data(), got);
  }
  return output;
}

/// What stands between brackets in the lines of readelf that have `mark`.
std::vector<std::string> bracketed(const std::string& text, const std::string& mark) {
  std::vector<std::string> found;
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const std::size_t open = text.find('[', at);
    found.push_back(text.substr(open + 1, text.find(']', open) - open - 1));
  }
  return found;
}

/// The words behind "Name:" in a section of `readelf -V`.
std::set<std::string> version_names(const std::string& text, const std::string& section) {
  std::set<std::string> names;
  const std::size_t begin = text.find(section);
  if (begin == std::string::npos) {
    return names;
  }
  const std::string part = text.substr(begin, text.find("\n\n", begin) - begin);
  for (const std::string_view line : split(part, '\n')) {
    const std::size_t name = line.find(" Name: ");
    if (name != std::string_view::npos && line.find("BASE") == std::string_view::npos) {
      const std::string_view rest = line.substr(name + 7);
      names.emplace(rest.substr(0, rest.find(' ')));
    }
  }
  return names;
}

TEST(Object, RealOnesReadAsReadelfReadsThem) {
  const std::string readelf = "LC_ALL=C readelf -W ";
  if (output_of("command -v readelf").empty()) {
    GTEST_SKIP() << "readelf is not installed (package binutils)";
  }
  std::size_t compared = 0;
  for (const char* directory : {"/usr/bin", "/usr/lib"}) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(
             directory, std::filesystem::directory_options::skip_permission_denied)) {
      const std::string name = file.path().filename().string();
      if (!file.is_regular_file() || file.is_symlink() || compared >= 60 || name.size() % 5 != 0) {
        continue;
      }
      const ContentPtr content = unwrap(file_content(file.path()));
      const auto read = read_object(*content, file.path().string());
      if (!read || !read->dynamic || !read->identity.is_loadable()) {
        continue;
      }
      ++compared;
      const std::string dynamic = output_of(readelf + "-d '" + file.path().string() + "'");
      EXPECT_EQ(read->needed, bracketed(dynamic, "(NEEDED)")) << file.path();
      const auto soname = bracketed(dynamic, "(SONAME)");
      EXPECT_EQ(read->soname, soname.empty() ? "" : soname.front()) << file.path();
      const auto runpath = bracketed(dynamic, "(RUNPATH)");
      EXPECT_EQ(read->runpath, runpath.empty() ? "" : runpath.front()) << file.path();
      const std::string versions = output_of(readelf + "-V '" + file.path().string() + "'");
      EXPECT_EQ(std::set<std::string>(read->versions.begin(), read->versions.end()),
                version_names(versions, "Version definition section"))
          << file.path();
      std::set<std::string> needs;
      for (const VersionNeed& need : read->version_needs) {
        needs.insert(need.versions.begin(), need.versions.end());
      }
      const std::set<std::string> all = version_names(versions, "Version needs section");
      EXPECT_TRUE(std::includes(all.begin(), all.end(), needs.begin(), needs.end())) << file.path();
      EXPECT_EQ(needs.empty(), all.empty()) << file.path();
    }
  }
  EXPECT_GE(compared, 20U);
}

TEST(Object, MadeOnesAreWhatReadelfUnderstands) {
  if (output_of("command -v readelf").empty()) {
    GTEST_SKIP() << "readelf is not installed (package binutils)";
  }
  const test::TempDir temp;
  const std::string path = temp.write("x", library().bytes()).string();
  const std::string text = output_of("LC_ALL=C readelf -W -hld '" + path + "' 2>&1");
  EXPECT_THAT(text, HasSubstr("Shared library: [liby.so.2]"));
  EXPECT_THAT(text, HasSubstr("Library soname: [libx.so.1]"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("Error")));
}

}  // namespace
}  // namespace fnimage::elf
