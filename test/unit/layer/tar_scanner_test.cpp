// A15: archives that readers of tar understand in different ways. What contradicts itself is
// refused; what is not, has the same names and sizes for us, GNU tar, libarchive's bsdtar and
// Python's tarfile. V8: what a layer must not hold.
#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/layer/archive.hpp>
#include <fnimage/layer/tar_file.hpp>
#include <fnimage/test/raw_tar.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::is_ok;
using fnimage::test::raw_directory;
using fnimage::test::raw_file;
using fnimage::test::raw_hardlink;
using fnimage::test::raw_long;
using fnimage::test::raw_pax;
using fnimage::test::raw_symlink;
using fnimage::test::raw_tar;
using fnimage::test::RawTarEntry;
using fnimage::test::TempDir;
using fnimage::test::unwrap;
using ::testing::HasSubstr;

Result<ArchiveListing> unpack_raw(const std::string& tar, const TempDir& temp) {
  static int number = 0;
  return unpack_tar([&] { return Result<std::unique_ptr<Reader>>(memory_reader(tar)); },
                    "raw" + std::to_string(++number), temp.path() / "packs", "test.tar");
}

struct Contradiction {
  std::string name;
  std::string tar;
  std::string problem;
};

RawTarEntry with_size(RawTarEntry entry, std::uint64_t size) {
  entry.size = size;
  return entry;
}

std::vector<Contradiction> contradictions() {
  using namespace std::string_literals;
  const RawTarEntry hidden = raw_file("hidden", "x");
  const std::string inner = raw_tar({hidden});
  std::string bad_sum = raw_tar({raw_file("f", "x")});
  bad_sum[0] = 'g';
  std::string negative = raw_tar({raw_file("f", "x")});
  return {
      // TARmageddon (CVE-2025-62518): who believes the header finds the content's entries.
      {"pax says more than ustar",
       raw_tar(
           {raw_pax({fmt::format("size={}", inner.size())}), with_size(raw_file("f", inner), 0)}),
       "two sizes"},
      {"pax says less than ustar", raw_tar({raw_pax({"size=1"}), raw_file("f", "xyz")}),
       "two sizes"},
      {"two pax sizes", raw_tar({raw_pax({"size=3", "size=3"}), raw_file("f", "xyz")}),
       "two records of its size"},
      {"a pax size that is no number", raw_tar({raw_pax({"size=3x"}), raw_file("f", "xyz")}),
       "no number"},
      {"a negative pax size", raw_tar({raw_pax({"size=-1"}), raw_file("f", "xyz")}), "no number"},
      {"two pax paths", raw_tar({raw_pax({"path=a", "path=b"}), raw_file("f", "")}),
       "two records of its path"},
      {"two pax headers", raw_tar({raw_pax({"path=a"}), raw_pax({"path=b"}), raw_file("f", "")}),
       "two headers of one kind"},
      {"two long names", raw_tar({raw_long('L', "a"), raw_long('L', "b"), raw_file("f", "")}),
       "two headers of one kind"},
      {"a long name and a pax path",
       raw_tar({raw_long('L', "a"), raw_pax({"path=b"}), raw_file("f", "")}), "two names"},
      {"a long link and a pax link",
       raw_tar({raw_long('K', "a"), raw_pax({"linkpath=b"}), raw_symlink("f", "c")}), "two names"},
      {"a NUL in a pax path", raw_tar({raw_pax({"path=a\0b"s}), raw_file("f", "")}), "NUL"},
      {"a NUL in a long name", raw_tar({raw_long('L', "a\0b"s), raw_file("f", "")}), "goes on"},
      {"an empty pax path", raw_tar({raw_pax({"path="}), raw_file("f", "")}), "empty"},
      {"a pax path for all", raw_tar({raw_pax({"path=a"}, 'g'), raw_file("f", "")}),
       "for all entries"},
      {"a pax size for all", raw_tar({raw_pax({"size=1"}, 'g'), raw_file("f", "x")}),
       "for all entries"},
      {"a record longer than its header",
       raw_tar({{.type = 'x', .name = "pax", .content = "99 path=a\n"}, raw_file("f", "")}),
       "malformed"},
      {"a record without an end",
       raw_tar({{.type = 'x', .name = "pax", .content = "9 path=a "}, raw_file("f", "")}),
       "malformed"},
      {"a record without a length",
       raw_tar({{.type = 'x', .name = "pax", .content = "path=a\n"}, raw_file("f", "")}),
       "malformed"},
      {"a hard link with content",
       raw_tar({raw_file("f", "x"), with_size(raw_hardlink("l", "f"), 1024), hidden}),
       "with content"},
      {"a symbolic link with content", raw_tar({with_size(raw_symlink("l", "f"), 512), hidden}),
       "with content"},
      {"a directory with content", raw_tar({with_size(raw_directory("d"), 512), hidden}),
       "with content"},
      {"a volume header", raw_tar({{.type = 'V', .name = "volume"}, hidden}), "kind V"},
      {"a file that goes on", raw_tar({{.type = 'M', .name = "rest"}, hidden}), "kind M"},
      {"an unknown kind", raw_tar({{.type = 'Z', .name = "z", .content = "x"}}), "kind Z"},
      {"an old sparse file", raw_tar({{.type = 'S', .name = "s"}}), "sparse"},
      {"a new sparse file",
       raw_tar({raw_pax({"GNU.sparse.major=1", "GNU.sparse.minor=0"}), raw_file("f", "0\n")}),
       "sparse"},
      {"a second archive behind the end", raw_tar({raw_file("f", "x")}) + inner, "behind its end"},
      {"a wrong checksum", bad_sum, ""},
      {"cut within a content", raw_tar({raw_file("f", std::string(2000, 'x'))}).substr(0, 1500),
       ""},
      {"cut within an extension",
       raw_tar({raw_pax({"path=" + std::string(600, 'x')}), raw_file("f", "")}).substr(0, 1024),
       ""},
      {"an extension and nothing else", raw_tar({raw_pax({"path=a"})}), ""},
  };
}

TEST(TarScanner, RefusesWhatReadersUnderstandDifferently) {
  const TempDir temp;
  for (const Contradiction& one : contradictions()) {
    SCOPED_TRACE(one.name);
    EXPECT_THAT(unpack_raw(one.tar, temp),
                fails_with(ErrorCode::invalid_input, HasSubstr(one.problem)));
    EXPECT_THAT(TarFile::open(temp.write("file.tar", one.tar)),
                fails_with(ErrorCode::invalid_input, HasSubstr(one.problem)));
  }
}

TEST(TarScanner, AcceptsWhatIsUnusualButClear) {
  const TempDir temp;
  const std::string long_name(150, 'n');
  const std::vector<std::pair<std::string, std::string>> archives{
      {"the same size twice", raw_tar({raw_pax({"size=3"}), raw_file("f", "xyz")})},
      {"other records twice", raw_tar({raw_pax({"mtime=1", "mtime=2"}), raw_file("f", "xyz")})},
      {"a comment for all", raw_tar({raw_pax({"comment=x"}, 'g'), raw_file("f", "xyz")})},
      {"a long name and pax",
       raw_tar({raw_pax({"mtime=1"}), raw_long('L', "f"), raw_file("other", "xyz")})},
      {"a contiguous file", raw_tar({{.type = '7', .name = "f", .content = "xyz"}})},
      {"zeros behind the end", raw_tar({raw_file("f", "xyz")}) + std::string(5000, '\0')},
      {"no end", raw_tar({raw_file("f", "xyz")}).substr(0, 1024)},
  };
  for (const auto& [name, tar] : archives) {
    SCOPED_TRACE(name);
    const auto listing = unpack_raw(tar, temp);
    ASSERT_THAT(listing, is_ok());
    ASSERT_EQ(listing->entries.size(), 1U);
    EXPECT_EQ(listing->entries[0].path, "f");
    EXPECT_EQ(listing->entries[0].size(), 3U);
    const auto file = TarFile::open(temp.write("file.tar", tar));
    ASSERT_THAT(file, is_ok());
    EXPECT_EQ(unwrap(read_all(*unwrap(unwrap(file->content("f"))->open()), 10)), "xyz");
  }
}

/// "size name" of every file, sorted, as another program finds them.
std::vector<std::string> list_with(const std::string& command, const TempDir& temp) {
  const std::string text =
      test::run("cd " + temp.path().string() + " && LC_ALL=C.UTF-8 " + command);
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(TarScanner, FourReadersAgree) {
  const TempDir temp;
  const std::string long_name(150, 'n');
  const std::vector<std::string> archives{
      raw_tar({raw_file("a", "1"), raw_file("b", std::string(513, 'x')), raw_file("c", "")}),
      raw_tar({raw_pax({"size=3", "path=" + long_name}), raw_file("f", "xyz"), raw_file("g", "")}),
      raw_tar({raw_long('L', long_name), raw_file("f", "xyz"), raw_file("g", "22")}),
      raw_tar({raw_pax({"path=d\xc3\xbcrer", "mtime=1.5"}), raw_file("f", "xyz")}),
      raw_tar({raw_pax({"comment=x"}, 'g'), raw_file("f", "xyz"), raw_directory("d/"),
               raw_hardlink("h", "f"), raw_symlink("s", "f"), raw_file("d/last", "1")}),
      raw_tar({raw_file("f", "xyz")}) + std::string(5000, '\0'),
  };
  const std::string python =
      "python3 -c \"import tarfile\n"
      "for m in tarfile.open('x.tar'):\n"
      "    if m.isreg(): print(m.size, m.name)\"";
  const std::string gnu_tar = "tar --quoting-style=literal -tvf x.tar | awk '/^-/ {print $3, $6}'";
  const std::string bsdtar = "bsdtar -tvf x.tar | awk '/^-/ && !/ link to / {print $5, $9}'";
  for (std::size_t i = 0; i < archives.size(); ++i) {
    SCOPED_TRACE(i);
    temp.write("x.tar", archives[i]);
    std::vector<std::string> ours;
    for (const Entry& entry : unwrap(unpack_raw(archives[i], temp)).entries) {
      if (entry.type == EntryType::file) {
        ours.push_back(fmt::format("{} {}", entry.size(), entry.path));
      }
    }
    std::sort(ours.begin(), ours.end());
    EXPECT_EQ(ours, list_with(python, temp));
    EXPECT_EQ(ours, list_with(gnu_tar, temp));
    EXPECT_EQ(ours, list_with(bsdtar, temp));
  }
}

// A17. A tree's own bounds, see FileTree.
TEST(HostileTree, DepthAndImpliedDirectoriesAreBounded) {
  FileTree tree;
  std::string path = "a";
  for (int i = 0; i < 256; ++i) {
    path += "/a";
  }
  EXPECT_THAT(tree.add(test::file(path, "x")), is_ok());
  EXPECT_THAT(tree.add(test::file(path + "/a", "x")),
              fails_with(ErrorCode::invalid_input, HasSubstr("256 directories")));
  std::string tail;
  for (int i = 0; i < 250; ++i) {
    tail += "/aaaaaaaaaaaaaa";
  }
  Result<void> added;
  std::size_t count = 0;
  for (; added && count < 2000; ++count) {
    added = tree.add(test::file(std::to_string(count) + tail, "x"));
  }
  EXPECT_THAT(added, fails_with(ErrorCode::invalid_input, HasSubstr("too many directories")));
}

TEST(HostileTree, LinksThatMoveWithEveryEntryAreBounded) {
  FileTree tree;
  ASSERT_THAT(tree.add(test::file("a", "x")), is_ok());
  constexpr int links = 700;
  for (int i = 0; i < links; ++i) {
    ASSERT_THAT(tree.add(test::hardlink(fmt::format("l{:05}", i), "a")), is_ok());
  }
  // Every replaced name hands all links that are left to the next one: 245,000 in all.
  Result<void> added = tree.add(test::file("a", "y"));
  for (int i = 0; added && i < links; ++i) {
    added = tree.add(test::file(fmt::format("l{:05}", i), "y"));
  }
  EXPECT_THAT(added, fails_with(ErrorCode::invalid_input, HasSubstr("too often")));
}

TEST(HostileTree, LinksThatRepeatEachOtherLeadNowhere) {
  FileTree tree;
  ASSERT_THAT(tree.add(test::directory("d")), is_ok());
  std::string tail;
  for (int i = 0; i < 400; ++i) {
    tail += "/../d";
  }
  ASSERT_THAT(tree.add(test::symlink("near", "d" + tail.substr(0, 1000))), is_ok());
  ASSERT_THAT(tree.add(test::symlink("far", "near" + tail)), is_ok());
  EXPECT_THAT(tree.add(test::file("near/x", "1")), is_ok());
  EXPECT_THAT(tree.add(test::file("far/y", "1")),
              fails_with(ErrorCode::invalid_input, HasSubstr("too many symbolic links")));
}

}  // namespace
}  // namespace fnimage::layer
