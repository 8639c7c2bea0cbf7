// What ldconfig does for an image: on made-up libraries of any machine, and on this machine's own
// libraries beside the real ldconfig.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>
#include <fnimage/elf/loader_cache.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/configure/configure.hpp"
#include "debian/process.hpp"

namespace fnimage::source::debian {
namespace {

namespace fs = std::filesystem;

using elf::ByteOrder;
using elf::CachedLibrary;
using elf::Machine;
using layer::Entry;
using layer::EntryType;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A shared object that has a dynamic section with a name and nothing else.
class MadeLibrary {
 public:
  explicit MadeLibrary(elf::Identity identity) : identity_(identity) {}

  std::string bytes(const std::string& soname) {
    const bool wide = identity_.bits == 64;
    const std::size_t headers = wide ? 64 + 2 * 56 : 52 + 2 * 32;
    const std::size_t dynamic = headers + (wide ? 4 * 16 : 4 * 8);
    const std::string strings = '\0' + soname + '\0';
    const std::size_t size = dynamic + strings.size();
    out_ = "\177ELF";
    out_ += wide ? '\2' : '\1';
    out_ += identity_.order == ByteOrder::little ? '\1' : '\2';
    out_ += '\1';
    out_.resize(16);
    half(identity_.type).half(static_cast<std::uint16_t>(identity_.machine)).word(1);
    address(0).address(wide ? 64 : 52).address(0).word(identity_.flags);
    half(wide ? 64 : 52).half(wide ? 56 : 32).half(2).half(0).half(0).half(0);
    segment(1, 0, size);
    segment(2, headers, dynamic - headers);
    address(5).address(dynamic).address(10).address(strings.size());     // DT_STRTAB, DT_STRSZ
    address(soname.empty() ? 21 : 14).address(1).address(0).address(0);  // DT_DEBUG or DT_SONAME
    return std::move(out_) + strings;
  }

 private:
  MadeLibrary& put(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t byte = identity_.order == ByteOrder::little ? i : size - 1 - i;
      out_ += static_cast<char>(static_cast<unsigned char>(value >> (8 * byte)));
    }
    return *this;
  }
  MadeLibrary& half(std::uint16_t value) { return put(value, 2); }
  MadeLibrary& word(std::uint32_t value) { return put(value, 4); }
  MadeLibrary& address(std::uint64_t value) { return put(value, identity_.bits / 8U); }

  void segment(std::uint32_t type, std::uint64_t offset, std::uint64_t size) {
    word(type);
    if (identity_.bits == 64) {
      word(4).address(offset).address(offset).address(offset);
      address(size).address(size).address(8);
    } else {
      address(offset).address(offset).address(offset).address(size).address(size).word(4).word(4);
    }
  }

  elf::Identity identity_;
  std::string out_;
};

constexpr elf::Identity amd64{.machine = Machine::x86_64, .type = 3};
constexpr elf::Identity s390x{.order = ByteOrder::big, .machine = Machine::s390, .type = 3};

std::string made(const std::string& soname, elf::Identity identity = amd64) {
  return MadeLibrary(identity).bytes(soname);
}

Entry file_of(std::string path, std::string text) {
  return {.path = std::move(path), .content = memory_content(std::move(text))};
}

Entry link_of(std::string path, std::string text) {
  return {.path = std::move(path), .type = EntryType::symlink, .link = std::move(text)};
}

// "name => path", as ldconfig prints it, and "name (3) => path" for other kinds than the first's.
std::vector<std::string> listed(const std::vector<CachedLibrary>& libraries) {
  std::vector<std::string> lines;
  for (const CachedLibrary& one : libraries) {
    lines.push_back(one.name +
                    (one.processors.empty() ? std::string() : " [" + one.processors + "]") +
                    " => " + one.path);
  }
  return lines;
}

struct LoaderImage {
  Layout layout{};
  std::string architecture = "amd64";
  std::string triplet = "x86_64-linux-gnu";

  LoaderImage() {
    add(file_of("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"));
    add(file_of("etc/ld.so.conf.d/libc.conf", "# libc default configuration\n/usr/local/lib\n"));
    for (const char* name : {"lib", "lib64"}) {
      add(link_of(name, std::string("usr/") + name));
    }
  }

  void add(Entry entry) { EXPECT_THAT(layout.tree.add(std::move(entry)), is_ok()); }

  Result<void> configure() {
    ImageView image(layout, 7);
    return configure_loader_cache(image, {{}, {}, architecture, triplet, 7, null_diagnostics()});
  }

  std::string bytes() { return unwrap(ImageView(layout, 0).read("etc/ld.so.cache", 1U << 24U)); }

  std::vector<CachedLibrary> cache() {
    unwrap(configure());
    return unwrap(elf::parse_loader_cache(bytes(), "cache"));
  }

  std::string link(std::string_view path) {
    const Entry* entry = layout.tree.find(path);
    return entry != nullptr && entry->type == EntryType::symlink ? entry->link : "no link";
  }
};

TEST(LoaderCache, HasLibrariesByTheirNamesAndLinksThem) {
  LoaderImage image;
  image.add(file_of("usr/lib/x86_64-linux-gnu/libz.so.1.2.13", made("libz.so.1")));
  image.add(file_of("usr/lib/x86_64-linux-gnu/libplain.so", made("")));
  image.add(file_of("usr/lib/libold.so.5", made("libold.so.5")));
  EXPECT_THAT(listed(image.cache()), ElementsAre("libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1",
                                                 "libplain.so => /lib/x86_64-linux-gnu/libplain.so",
                                                 "libold.so.5 => /lib/libold.so.5"));
  EXPECT_EQ(image.link("usr/lib/x86_64-linux-gnu/libz.so.1"), "libz.so.1.2.13");
  const Entry* cache = image.layout.tree.find("etc/ld.so.cache");
  EXPECT_EQ(cache->mode, 0644U);
  EXPECT_EQ(cache->mtime, 7);
}

TEST(LoaderCache, IsNotWrittenWithoutTheLoadersConfiguration) {
  LoaderImage image;
  image.layout.tree.remove("etc/ld.so.conf");
  image.add(file_of("usr/lib/x86_64-linux-gnu/libz.so.1.2.13", made("libz.so.1")));
  EXPECT_THAT(image.configure(), is_ok());
  EXPECT_EQ(image.layout.tree.find("etc/ld.so.cache"), nullptr);
  EXPECT_EQ(image.link("usr/lib/x86_64-linux-gnu/libz.so.1"), "no link");
}

TEST(LoaderCache, FollowsTheConfiguration) {
  LoaderImage image;
  image.add(file_of("etc/ld.so.conf",
                    "  include ld.so.conf.d/*.conf more/[x]\t/nowhere/*\n\n# /opt/comment\n"
                    "hwcap 1 nosegneg\n/opt/last/ # why\n relative\n/opt/typed=libc6\n"
                    "include /etc/ld.so.conf\n"));
  image.add(file_of("etc/ld.so.conf.d/b.conf", "/opt/b\n"));
  image.add(file_of("etc/ld.so.conf.d/a.conf", "/opt/link-to-a/\n"));
  image.add(file_of("etc/ld.so.conf.d/.hidden.conf", "/opt/hidden\n"));
  image.add(file_of("etc/ld.so.conf.d/c.conf.dpkg-old", "/opt/old\n"));
  image.add(file_of("etc/more/x", "/usr/lib/x86_64-linux-gnu"));
  image.add(link_of("opt/link-to-a", "a"));
  for (const char* directory :
       {"opt/a", "opt/b", "opt/last", "opt/typed", "opt/comment", "opt/hidden", "opt/old",
        "relative", "usr/local/lib", "usr/lib", "usr/lib/x86_64-linux-gnu"}) {
    image.add(file_of(std::string(directory) + "/libx.so", made("libx.so")));
  }
  EXPECT_THAT(
      listed(image.cache()),
      ElementsAre("libx.so => /opt/link-to-a/libx.so", "libx.so => /opt/b/libx.so",
                  "libx.so => /usr/local/lib/libx.so",
                  "libx.so => /usr/lib/x86_64-linux-gnu/libx.so", "libx.so => /opt/last/libx.so",
                  "libx.so => /opt/typed/libx.so", "libx.so => /lib/libx.so"));
}

TEST(LoaderCache, TheHighestVersionIsLinked) {
  LoaderImage image;
  image.add(file_of("usr/lib/libz.so.1.2.9", made("libz.so.1")));
  image.add(file_of("usr/lib/libz.so.1.2.13", made("libz.so.1")));
  image.add(link_of("usr/lib/libz.so.1", "libz.so.1.2.9"));
  image.add(file_of("usr/lib/libn.so.1.0", made("libn.so.1")));
  image.add(link_of("usr/lib/libn.so.1", "gone"));
  EXPECT_THAT(listed(image.cache()),
              ElementsAre("libz.so.1 => /lib/libz.so.1", "libn.so.1 => /lib/libn.so.1"));
  EXPECT_EQ(image.link("usr/lib/libz.so.1"), "libz.so.1.2.13");
  EXPECT_EQ(image.link("usr/lib/libn.so.1"), "libn.so.1.0");
}

TEST(LoaderCache, LinksOfPackagesAndAlternativesStay) {
  LoaderImage image;
  image.add(file_of("usr/lib/libz.so.1.2.13", made("libz.so.1")));
  image.add(link_of("usr/lib/libz.so.1", "/lib/libz.so.1.2.13"));
  image.add(link_of("usr/lib/libz.so", "libz.so.1"));  // for the linker
  image.add(file_of("usr/lib/openblas/libblas.so.3", made("libblas.so.3")));
  image.add(link_of("usr/lib/libblas.so.3", "/etc/alternatives/libblas.so.3"));
  image.add(link_of("etc/alternatives/libblas.so.3", "/lib/openblas/libblas.so.3"));
  EXPECT_THAT(listed(image.cache()),
              ElementsAre("libz.so.1 => /lib/libz.so.1", "libz.so => /lib/libz.so",
                          "libblas.so.3 => /lib/libblas.so.3"));
  EXPECT_EQ(image.link("usr/lib/libz.so.1"), "/lib/libz.so.1.2.13");
  EXPECT_EQ(image.link("usr/lib/libblas.so.3"), "/etc/alternatives/libblas.so.3");
}

TEST(LoaderCache, LibrariesOfOtherDirectoriesAndHardLinksCount) {
  LoaderImage image;
  EXPECT_THAT(image.layout.tree.add(file_of("usr/lib/liball.so.1.0", made("liball.so.1"))),
              is_ok());
  EXPECT_THAT(image.layout.tree.add(file_of("etc/ld.so.conf.d/all.conf", "/opt/all")), is_ok());
  image.add(file_of("opt/all/libhard.so.2.1", made("libhard.so.2")));
  image.add({.path = "opt/all/libhard.so.2",
             .type = EntryType::hardlink,
             .link = "opt/all/libhard.so.2.1"});
  EXPECT_THAT(listed(image.cache()), ElementsAre("libhard.so.2 => /opt/all/libhard.so.2",
                                                 "liball.so.1 => /lib/liball.so.1"));
  EXPECT_EQ(image.link("usr/lib/liball.so.1"), "liball.so.1.0");
  EXPECT_EQ(image.layout.tree.find("opt/all/libhard.so.2")->type, EntryType::hardlink);
}

TEST(LoaderCache, WhatTheLoaderCannotLoadIsLeftOut) {
  LoaderImage image;
  elf::Identity other = amd64;
  other.type = 2;
  image.add(file_of("usr/lib/libprogram.so", made("libprogram.so", other)));
  image.add(file_of("usr/lib/libobject.so", made("", {.machine = Machine::x86_64, .type = 1})));
  image.add(file_of("usr/lib/libs390.so", made("libs390.so", s390x)));
  image.add(file_of("usr/lib/libarm.so", made("", {.machine = Machine::aarch64, .type = 3})));
  image.add(file_of("usr/lib/libscript.so", "/* GNU ld script */ GROUP ( libz.so.1 )"));
  image.add(file_of("usr/lib/libcut.so", made("libcut.so").substr(0, 100)));
  image.add(file_of("usr/lib/libempty.so", ""));
  image.add(file_of("usr/lib/libpath.so", made("../../etc/passwd")));
  image.add(file_of("usr/lib/libup.so", made("..")));
  image.add(file_of("usr/lib/liblong.so", made(std::string(300, 'l'))));
  image.add(file_of("usr/lib/plugin.so", made("plugin.so")));
  image.add(file_of("usr/lib/libfoo.a", made("libfoo.so")));
  image.add({.path = "usr/lib/libdirectory.so", .type = EntryType::directory, .mode = 0755});
  image.add(file_of("usr/lib/libdirectory.so/libbelow.so", made("libbelow.so")));
  image.add(link_of("usr/lib/libdangling.so.1", "gone"));
  image.add(link_of("usr/lib/libloop.so.1", "libloop.so.1"));
  EXPECT_THAT(listed(image.cache()), IsEmpty());
}

TEST(LoaderCache, AFileIsNotReplacedByALink) {
  LoaderImage image;
  image.add(file_of("usr/lib/libz.so.1", "no library"));
  image.add(file_of("usr/lib/libz.so.1.2.13", made("libz.so.1")));
  EXPECT_THAT(listed(image.cache()), ElementsAre("libz.so.1 => /lib/libz.so.1"));
  EXPECT_EQ(image.layout.tree.find("usr/lib/libz.so.1")->type, EntryType::file);
}

TEST(LoaderCache, TellsBothWidthsOfAMachineApart) {
  LoaderImage image;
  image.add(file_of("usr/lib/x86_64-linux-gnu/libz.so.1", made("libz.so.1")));
  image.add(file_of("usr/lib/libz.so.1",
                    made("libz.so.1", {.bits = 32, .machine = Machine::i386, .type = 3})));
  const auto libraries = image.cache();
  ASSERT_EQ(libraries.size(), 2U);
  EXPECT_EQ(libraries[0].flags, 0x0303U);
  EXPECT_EQ(libraries[1].flags, 0x0003U);
}

TEST(LoaderCache, LibrariesForCertainProcessorsAreFoundFirst) {
  LoaderImage image;
  const std::string directory = "usr/lib/x86_64-linux-gnu/";
  image.add(file_of(directory + "libz.so.1.3", made("libz.so.1")));
  image.add(file_of(directory + "glibc-hwcaps/x86-64-v3/libz.so.1.3", made("libz.so.1")));
  image.add(file_of(directory + "glibc-hwcaps/x86-64-v3/deeper/libz.so.1.3", made("libz.so.1")));
  image.add(file_of(directory + "glibc-hwcaps/.hidden/libz.so.1.3", made("libz.so.1")));
  EXPECT_THAT(listed(image.cache()),
              ElementsAre("libz.so.1 [x86-64-v3] => "
                          "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1.3",
                          "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1"));
  EXPECT_EQ(image.link(directory + "glibc-hwcaps/x86-64-v3/libz.so.1"), "no link");
}

TEST(LoaderCache, IsInTheByteOrderOfTheMachine) {
  LoaderImage image;
  image.architecture = "s390x";
  image.triplet = "s390x-linux-gnu";
  image.add(file_of("usr/lib/s390x-linux-gnu/libz.so.1.2.13", made("libz.so.1", s390x)));
  image.add(file_of("usr/lib/ld64.so.1", made("ld64.so.1", s390x)));
  EXPECT_THAT(
      image.cache(),
      ElementsAre(
          CachedLibrary{
              .name = "libz.so.1", .path = "/lib/s390x-linux-gnu/libz.so.1", .flags = 0x0403},
          CachedLibrary{.name = "ld64.so.1", .path = "/lib/ld64.so.1", .flags = 0x0403}));
  EXPECT_EQ(image.bytes().substr(20, 4), std::string("\0\0\0\2", 4));
}

TEST(LoaderCache, EveryArchitectureOfDebianHasOne) {
  for (const char* name : {"amd64", "386", "arm64", "arm/v5", "arm/v7", "ppc64le", "ppc64", "s390x",
                           "riscv64", "loong64", "mips64le", "mipsle"}) {
    const auto platform = unwrap(manifest::Platform::parse(std::string("linux/") + name));
    LoaderImage image;
    image.architecture = manifest::debian_architecture(platform).value();
    image.triplet = manifest::multiarch_triplet(platform).value();
    EXPECT_THAT(image.configure(), is_ok());
    EXPECT_NE(image.layout.tree.find("etc/ld.so.cache"), nullptr) << name;
  }
}

class TornFile final : public Content {
 public:
  [[nodiscard]] std::uint64_t size() const noexcept override { return 1000; }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t /*offset*/) const override {
    return fail(ErrorCode::verification, "not what was packed");
  }
};

TEST(LoaderCache, AFileThatCannotBeReadIsAnError) {
  LoaderImage image;
  image.add({.path = "usr/lib/libtorn.so", .content = std::make_shared<TornFile>()});
  EXPECT_THAT(image.configure(), fails_with(ErrorCode::verification));
}

// --- beside the real ldconfig ---

constexpr const char* real_ldconfig = "/sbin/ldconfig";

// A small root directory of this machine's own libraries.
class RealLibraries : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto triplet = manifest::multiarch_triplet(manifest::host_platform());
    const auto architecture = manifest::debian_architecture(manifest::host_platform());
    if (!fs::exists(real_ldconfig) || !triplet || !architecture) {
      GTEST_SKIP() << "no ldconfig here, or no Debian for this machine";
    }
    image_.triplet = *triplet;
    image_.architecture = *architecture;
    from_ = fs::path("/usr/lib") / image_.triplet;
    if (!fs::exists(from_ / "libz.so.1") || !fs::exists(from_ / "libm.so.6")) {
      GTEST_SKIP() << "no libz and libm in " << from_;
    }
    fs::create_directories(root_ / "etc");
    directory_ = "usr/lib/" + image_.triplet;
    for (const char* name : {"libz.so.1", "libc.so.6", "libm.so.6"}) {
      const fs::path real = fs::canonical(from_ / name);
      copy(real, directory_ / real.filename());
    }
    fs::create_symlink("usr/lib", root_ / "lib");
    dir_.write("root/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n");
    dir_.write("root/etc/ld.so.conf.d/libc.conf", "# default\n/usr/local/lib\n");
    dir_.write(fmt::format("root/etc/ld.so.conf.d/{}.conf", image_.triplet),
               fmt::format("# Multiarch support\n/usr/local/lib/{0}\n/lib/{0}\n/usr/lib/{0}\n",
                           image_.triplet));
  }

  void copy(const fs::path& from, const fs::path& to) const {
    fs::create_directories((root_ / to).parent_path());
    fs::copy_file(fs::canonical(from), root_ / to);
  }

  // Files of a directory as they are in a tree.
  void lay_out(const fs::path& directory, const fs::path& root) {
    for (const auto& item : fs::recursive_directory_iterator(directory)) {
      const std::string path = item.path().lexically_relative(root).string();
      if (item.is_symlink()) {
        image_.add(link_of(path, fs::read_symlink(item.path()).string()));
      } else if (item.is_directory()) {
        image_.add({.path = path, .type = EntryType::directory, .mode = 0755});
      } else if (item.is_regular_file()) {
        image_.add({.path = path, .content = unwrap(file_content(item.path()))});
      }
    }
  }

  // Runs both; what ldconfig linked must be linked in the tree, and nothing else.
  void expect_equal() {
    lay_out(root_, root_);
    const std::vector<std::string> command{real_ldconfig, "-r", root_.string(), "-f",
                                           "/etc/ld.so.conf"};
    const auto output = unwrap(run_program(command));
    if (output.exit_code != 0) {
      GTEST_SKIP() << "ldconfig does not work here: " << output.standard_error;
    }
    const auto theirs =
        unwrap(elf::parse_loader_cache(dir_.read("root/etc/ld.so.cache"), "what ldconfig wrote"));
    const auto ours = image_.cache();
    EXPECT_FALSE(theirs.empty());
    EXPECT_EQ(listed(ours), listed(theirs));
    EXPECT_EQ(ours, theirs);
    EXPECT_EQ(links_of_tree(), links_of_root());
  }

  std::vector<std::string> links_of_tree() {
    std::vector<std::string> links;
    for (const auto& [path, entry] : image_.layout.tree.entries()) {
      if (entry.type == EntryType::symlink && path.starts_with("usr/")) {
        links.push_back(path + " -> " + entry.link);
      }
    }
    return links;
  }

  std::vector<std::string> links_of_root() const {
    std::vector<std::string> links;
    for (const auto& item : fs::recursive_directory_iterator(root_ / "usr")) {
      if (item.is_symlink()) {
        links.push_back(item.path().lexically_relative(root_).string() + " -> " +
                        fs::read_symlink(item.path()).string());
      }
    }
    std::sort(links.begin(), links.end());
    return links;
  }

  test::TempDir dir_;
  fs::path root_ = dir_ / "root";
  fs::path from_;
  fs::path directory_;
  LoaderImage image_;
};

TEST_F(RealLibraries, GiveTheCacheThatLdconfigWrites) {
  expect_equal();
}

TEST_F(RealLibraries, InSeveralVersionsAndDirectories) {
  copy(from_ / "libz.so.1", directory_ / "libz.so.1.2.9");
  copy(from_ / "libz.so.1", directory_ / "libz.so.1.2.10");
  copy(from_ / "libz.so.1", "usr/local/lib/libz.so.1.0");
  copy(from_ / "libz.so.1", "usr/lib/libz.so.1");
  copy(from_ / "libm.so.6", "usr/lib/not-a-name.so");
  copy(from_ / "libm.so.6", "usr/lib/libm-other-2.so");
  fs::create_symlink("libz.so.1.2.9", root_ / directory_ / "libz.so.1");
  fs::create_symlink("libz.so.1", root_ / directory_ / "libz.so");
  fs::create_symlink("libm.so.6", root_ / directory_ / "libother.so.3");
  fs::create_symlink("/lib/libm-other-2.so", root_ / directory_ / "libabsolute.so");
  dir_.write("root/" + (directory_ / "libc.so").string(), "/* GNU ld script */\nGROUP ( a )\n");
  dir_.write("root/usr/lib/libtext.so", "GROUP ( but short )");
  expect_equal();
}

TEST_F(RealLibraries, ForCertainProcessors) {
  copy(from_ / "libz.so.1", directory_ / "glibc-hwcaps/x86-64-v3/libz.so.1.2.13");
  copy(from_ / "libz.so.1", directory_ / "glibc-hwcaps/x86-64-v3/libz.so.1.2.9");
  copy(from_ / "libm.so.6", directory_ / "glibc-hwcaps/x86-64-v2/libm.so.6");
  copy(from_ / "libm.so.6", "usr/local/lib/glibc-hwcaps/x86-64-v3/libm.so.6");
  expect_equal();
}

// Every library of this machine, in place and with no link changed (-X).
TEST_F(RealLibraries, AllThatThisMachineHas) {
  image_.add(file_of("etc/ld.so.conf", ""));
  lay_out("/usr/lib", "/");
  lay_out("/etc/alternatives", "/");
  const auto configuration = dir_.write("empty.conf", "");
  const std::vector<std::string> command{real_ldconfig,          "-X", "-f",
                                         configuration.string(), "-C", (dir_ / "cache").string()};
  const auto output = unwrap(run_program(command));
  ASSERT_EQ(output.exit_code, 0) << output.standard_error;
  auto theirs = unwrap(elf::parse_loader_cache(dir_.read("cache"), "what ldconfig wrote"));
  std::erase_if(theirs, [](const CachedLibrary& one) {
    std::error_code none;  // a link that would be made, were it not for -X
    const fs::path real = fs::canonical(one.path, none);
    return one.hwcap != 0 || (!none && !real.string().starts_with("/usr/lib/"));
  });
  const auto ours = image_.cache();
  EXPECT_GT(theirs.size(), 20U);
  EXPECT_EQ(listed(ours), listed(theirs));
  EXPECT_EQ(ours, theirs);
}

}  // namespace
}  // namespace fnimage::source::debian
