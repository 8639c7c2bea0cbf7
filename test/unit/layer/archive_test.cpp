// Reading archives made by foreign tools, and hostile ones (reliability A14-A18).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/layer/archive.hpp>
#include <fnimage/layer/compression.hpp>
#include <fnimage/test/raw_tar.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::is_ok;
using fnimage::test::raw_ar_member;
using fnimage::test::TempDir;
using fnimage::test::unwrap;
using test::run;
namespace fs = std::filesystem;
using ::testing::HasSubstr;

Result<ArchiveListing> unpack(std::string bytes, const TempDir& temp, std::string_view id = "id",
                              const ArchiveLimits& limits = {}) {
  return unpack_tar([&] { return Result<std::unique_ptr<Reader>>(memory_reader(bytes)); }, id,
                    temp.path() / "packs", "test.tar", limits);
}

const Entry* find(const ArchiveListing& listing, std::string_view path) {
  for (const Entry& entry : listing.entries) {
    if (entry.path == path) {
      return &entry;
    }
  }
  return nullptr;
}

std::string content_of(const Entry& entry) {
  if (!entry.content) {
    return {};
  }
  return unwrap(read_all(*unwrap(entry.content->open()), 1 << 20));
}

/// A tar of foreign make with all that packages hold.
std::string foreign_tar(const TempDir& temp, const std::string& options) {
  const std::string root = (temp.path() / "root").string();
  run("rm -rf " + root + " && mkdir -p " + root + "/usr/bin && cd " + root +
      " && printf hello > usr/bin/a && ln usr/bin/a usr/bin/b && ln -s a usr/bin/l && "
      ": > usr/empty && chmod 4755 usr/bin/a && printf x > 'd\xc3\xbcrer' && "
      "printf y > $(printf 'n%.0s' $(seq 150)) && "
      "tar --sort=name --owner=0 --group=42 --mtime=@1700000000 " +
      options + " -cf ../foreign.tar .");
  return temp.read("foreign.tar");
}

TEST(UnpackTar, KeepsOnlyTheContentsThatAreWanted) {
  const TempDir temp;
  const std::string bytes = foreign_tar(temp, "--format=pax");
  const auto open = [&] { return Result<std::unique_ptr<Reader>>(memory_reader(bytes)); };
  const ArchiveListing all = unwrap(unpack(bytes, temp));
  const ArchiveListing some =
      unwrap(unpack_tar(open, "some", temp.path() / "packs", "test.tar", {},
                        [](std::string_view path) { return path == "usr/bin/a"; }));
  ASSERT_EQ(some.entries.size(), all.entries.size());
  EXPECT_EQ(content_of(*find(some, "usr/bin/a")), "hello");
  EXPECT_EQ(content_of(*find(all, "d\xc3\xbcrer")), "x");
  EXPECT_EQ(find(some, "d\xc3\xbcrer")->content, nullptr);
  EXPECT_EQ(fs::file_size(temp.path() / "packs" / "some.pack"), 5U);
}

class ForeignTar : public ::testing::TestWithParam<const char*> {};

TEST_P(ForeignTar, IsReadWhole) {
  const TempDir temp;
  const ArchiveListing listing = unwrap(unpack(foreign_tar(temp, GetParam()), temp));
  const Entry* a = find(listing, "usr/bin/a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->mode, 04755U);
  EXPECT_EQ(a->gid, 42U);
  EXPECT_EQ(a->mtime, 1700000000);
  EXPECT_EQ(content_of(*a), "hello");
  EXPECT_EQ(a->content->id(), manifest::Digest::of("hello").str());
  ASSERT_NE(find(listing, "usr/bin/b"), nullptr);
  EXPECT_EQ(find(listing, "usr/bin/b")->type, EntryType::hardlink);
  EXPECT_EQ(find(listing, "usr/bin/b")->link, "usr/bin/a");
  EXPECT_EQ(find(listing, "usr/bin/l")->link, "a");
  EXPECT_EQ(find(listing, "usr/empty")->size(), 0U);
  ASSERT_NE(find(listing, "d\xc3\xbcrer"), nullptr);
  ASSERT_NE(find(listing, std::string(150, 'n')), nullptr);
  EXPECT_EQ(find(listing, "")->type, EntryType::directory);
}

INSTANTIATE_TEST_SUITE_P(Formats, ForeignTar,
                         ::testing::Values("--format=gnu", "--format=pax", "--format=gnu -z",
                                           "--format=pax -J", "--format=gnu --zstd"));

TEST(Archive, SecondReadOpensNothing) {
  const TempDir temp;
  const ArchiveListing first = unwrap(unpack(foreign_tar(temp, ""), temp));
  const auto never = []() -> Result<std::unique_ptr<Reader>> {
    return fail(ErrorCode::internal, "opened");
  };
  const auto again = [&] { return unpack_tar(never, "id", temp.path() / "packs", "test.tar"); };
  const ArchiveListing second = unwrap(again());
  ASSERT_EQ(second.entries.size(), first.entries.size());
  for (std::size_t i = 0; i < first.entries.size(); ++i) {
    EXPECT_EQ(second.entries[i].path, first.entries[i].path);
    EXPECT_EQ(second.entries[i].type, first.entries[i].type);
    EXPECT_EQ(second.entries[i].mode, first.entries[i].mode);
    EXPECT_EQ(second.entries[i].mtime, first.entries[i].mtime);
    EXPECT_EQ(second.entries[i].link, first.entries[i].link);
    EXPECT_EQ(content_of(second.entries[i]), content_of(first.entries[i]));
  }
  // Damage of pack or index is a miss.
  const std::string index = temp.read("packs/id.index");
  for (const std::size_t at : {std::size_t{3}, index.size() / 2, index.size() - 1}) {
    std::string damaged = index;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    temp.write("packs/id.index", damaged);
    EXPECT_THAT(again(), fails_with(ErrorCode::internal, HasSubstr("opened"))) << at;
  }
  temp.write("packs/id.index", index);
  EXPECT_THAT(again(), is_ok());
  temp.write("packs/id.pack", "short");
  EXPECT_THAT(again(), fails_with(ErrorCode::internal));
}

TEST(Archive, DamagedPackIsNeitherReadNorKept) {
  const TempDir temp;
  static_cast<void>(unwrap(unpack(foreign_tar(temp, ""), temp)));
  static_cast<void>(unwrap(unpack(foreign_tar(temp, ""), temp, "other")));
  const ArchiveListing kept = unwrap(unpack(foreign_tar(temp, ""), temp));
  const fs::path packs = temp.path() / "packs";
  EXPECT_EQ(discard_damaged_packs(packs), 0U);

  std::string bytes = temp.read("packs/id.pack");
  const std::size_t at = bytes.find("hello") + 4;
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  temp.write("packs/id.pack", bytes);
  const Result<std::string> read = read_all(*unwrap(find(kept, "usr/bin/a")->content->open()), 100);
  EXPECT_THAT(read, fails_with(ErrorCode::verification, HasSubstr("id.pack")));
  EXPECT_TRUE(read.error().is_retryable());

  EXPECT_EQ(discard_damaged_packs(packs), 1U);
  EXPECT_FALSE(fs::exists(packs / "id.index"));
  EXPECT_FALSE(fs::exists(packs / "id.pack"));
  EXPECT_TRUE(fs::exists(packs / "other.index"));
  const ArchiveListing again = unwrap(unpack(foreign_tar(temp, ""), temp));
  EXPECT_EQ(content_of(*find(again, "usr/bin/a")), "hello");
  EXPECT_EQ(discard_damaged_packs(temp.path() / "missing"), 0U);
}

TEST(Archive, KeepsDevicesAndAttributesOfItsOwnTars) {
  const TempDir temp;
  FileTree tree;
  Entry device = test::directory("dev/null");
  device.type = EntryType::char_device;
  device.device_major = 1;
  device.device_minor = 3;
  unwrap(tree.add(device));
  Entry attributed = test::file("f", "x");
  attributed.xattrs["user.a"] = std::string("\0b", 2);
  attributed.uid = 3'000'000;
  attributed.mtime = -7;
  unwrap(tree.add(attributed));
  for (int i = 0; i < 2; ++i) {  // from the archive, then from the index
    const ArchiveListing listing = unwrap(unpack(test::tar_of(tree), temp));
    EXPECT_EQ(find(listing, "dev/null")->device_minor, 3U);
    EXPECT_EQ(find(listing, "f")->xattrs, attributed.xattrs);
    EXPECT_EQ(find(listing, "f")->uid, 3'000'000U);
    EXPECT_EQ(find(listing, "f")->mtime, -7);
  }
}

std::string tar_with_name(std::string name) {
  FileTree tree;
  unwrap(tree.add(test::file(std::string(name.size(), 'q'), "x")));
  std::string tar = test::tar_of(tree);
  tar.replace(0, name.size(), name);
  for (std::size_t i = 148; i < 156; ++i) {
    tar[i] = ' ';
  }
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i) {
    sum += static_cast<unsigned char>(tar[i]);
  }
  const std::string octal = [&] {
    std::string digits;
    for (int shift = 15; shift >= 0; shift -= 3) {
      digits += static_cast<char>('0' + ((sum >> shift) & 7U));
    }
    return digits;
  }();
  tar.replace(148, 6, octal);
  tar[154] = '\0';
  return tar;
}

TEST(HostileArchive, PathsThatLeaveAreRefused) {
  const TempDir temp;
  EXPECT_THAT(unpack(tar_with_name("aa/../../etc"), temp),
              fails_with(ErrorCode::invalid_input, HasSubstr("test.tar")));
  const ArchiveListing absolute = unwrap(unpack(tar_with_name("/etc/passwd"), temp));
  EXPECT_EQ(absolute.entries.at(0).path, "etc/passwd");
}

TEST(HostileArchive, LimitsHold) {
  const TempDir temp;
  FileTree tree;
  unwrap(tree.add(test::file("zeros", std::string(200 << 20, '\0'))));
  unwrap(tree.add(test::file("other", "x")));
  const std::string tar = test::tar_of(tree);
  WorkerPool pool(2);
  std::string bomb;
  StringWriter out(bomb);
  const auto compressor = make_compressor(Compression::zstd, out, pool);
  unwrap(compressor->write(as_bytes(tar)));
  unwrap(compressor->finish());
  EXPECT_THAT(unpack(bomb, temp), fails_with(ErrorCode::invalid_input, HasSubstr("2000 times")));
  EXPECT_THAT(unpack(tar, temp, "id", {.max_bytes = 1 << 20}),
              fails_with(ErrorCode::invalid_input, HasSubstr("more than")));
  EXPECT_THAT(unpack(tar, temp, "id", {.max_entries = 1}),
              fails_with(ErrorCode::invalid_input, HasSubstr("entries")));
  EXPECT_THAT(temp.list(), ::testing::ElementsAre("packs"));
  EXPECT_TRUE(std::filesystem::is_empty(temp.path() / "packs"));
}

TEST(HostileArchive, AFailureAtTheBeginningIsNotAnEmptyArchive) {
  class Broken final : public Reader {
    Result<std::size_t> read(MutableBytes) override { return fail(ErrorCode::io, "disk on fire"); }
  };
  const TempDir temp;
  const auto open = [] { return Result<std::unique_ptr<Reader>>(std::make_unique<Broken>()); };
  EXPECT_THAT(unpack_tar(open, "id", temp.path(), "test.tar"),
              fails_with(ErrorCode::io, HasSubstr("on fire")));
  for (const char* options : {"-z", "-J", "--zstd"}) {
    const std::string whole = foreign_tar(temp, options);
    for (const std::size_t size : {8U, 12U, 30U}) {
      EXPECT_THAT(unpack(whole.substr(0, size), temp), fails_with(ErrorCode::invalid_input))
          << options << size;
    }
  }
}

TEST(HostileArchive, SparseFilesAreRefused) {
  const TempDir temp;
  for (const char* format : {"gnu", "pax"}) {
    run("cd " + temp.path().string() +
        " && rm -f s && truncate -s 1M s && printf x >> s && tar -S " + "--format=" + format +
        " -cf s.tar s");
    EXPECT_THAT(unpack(temp.read("s.tar"), temp),
                fails_with(ErrorCode::invalid_input, HasSubstr("sparse")))
        << format;
  }
}

TEST(HostileArchive, IdsCannotLeaveTheDirectory) {
  const TempDir temp;
  EXPECT_THAT(unpack("", temp, "../x"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(unpack("", temp, ""), fails_with(ErrorCode::invalid_argument));
}

TEST(HostileArchive, CutAndFlippedBytesNeverCrash) {
  const TempDir temp;
  std::uint64_t state = 7;
  const auto next = [&](std::size_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>(state >> 33) % below;
  };
  for (const char* options : {"--format=pax", "--format=gnu -z", "-J", "--zstd"}) {
    const std::string whole = foreign_tar(temp, options);
    for (int i = 0; i < 200; ++i) {
      std::string bytes = whole;
      if (i % 3 == 0) {
        bytes.resize(next(bytes.size()));
      }
      for (std::size_t flips = next(4) + 1; flips > 0 && !bytes.empty(); --flips) {
        bytes[next(bytes.size())] ^= static_cast<char>(1U << next(8));
      }
      const auto listing = unpack(bytes, temp, "fuzz" + std::to_string(i));
      if (!listing) {
        EXPECT_EQ(listing.error().code(), ErrorCode::invalid_input) << listing.error().describe();
      }
    }
  }
}

Result<std::string> list_ar(std::string bytes) {
  const auto reader = memory_reader(std::move(bytes));
  std::string list;
  FNIMAGE_CHECK(
      read_ar(*reader, "x.deb",
              [&](std::string_view name, std::uint64_t size, Reader& member) -> Result<void> {
                list += std::string(name) + ":" + std::to_string(size);
                if (name != "skipped") {
                  FNIMAGE_TRY(const std::string text, read_all(member, 1000));
                  list += "=" + text;
                }
                list += ";";
                return {};
              }));
  return list;
}

TEST(Ar, ReadsMembers) {
  const std::string whole = "!<arch>\n" + raw_ar_member("debian-binary", "2.0\n") +
                            raw_ar_member("skipped", "abc") + raw_ar_member("data.tar.xz/", "xyz");
  EXPECT_EQ(unwrap(list_ar(whole)), "debian-binary:4=2.0\n;skipped:3;data.tar.xz:3=xyz;");
  EXPECT_EQ(unwrap(list_ar(whole.substr(0, whole.size() - 1))), unwrap(list_ar(whole)));
  for (std::size_t size = 0; size < whole.size() - 1; ++size) {
    const auto cut = list_ar(whole.substr(0, size));
    if (!cut) {
      EXPECT_EQ(cut.error().code(), ErrorCode::invalid_input) << size;
    }
  }
}

TEST(Ar, RefusesDamage) {
  EXPECT_THAT(list_ar("!<arch>"), fails_with(ErrorCode::invalid_input, HasSubstr("x.deb")));
  EXPECT_THAT(list_ar("!<arch>\n" + raw_ar_member("//", "names")),
              fails_with(ErrorCode::invalid_input));
  std::string size = "!<arch>\n" + raw_ar_member("a", "xx");
  size.replace(8 + 48, 10, "-1        ");
  EXPECT_THAT(list_ar(size), fails_with(ErrorCode::invalid_input, HasSubstr("size")));
  size.replace(8 + 48, 10, "9999999999");
  EXPECT_THAT(list_ar(size), fails_with(ErrorCode::invalid_input, HasSubstr("early")));
}

TEST(SmallTar, ReadsFilesWholeWithinTheLimit) {
  const TempDir temp;
  const std::string tar = foreign_tar(temp, "-J");
  const auto reader = memory_reader(tar);
  const auto files = unwrap(read_small_tar(*reader, "control", 1000));
  EXPECT_THAT(files, ::testing::Contains(::testing::Pair("usr/bin/a", "hello")));
  const auto again = memory_reader(tar);
  EXPECT_THAT(read_small_tar(*again, "control", 3),
              fails_with(ErrorCode::invalid_input, HasSubstr("control")));
}

}  // namespace
}  // namespace fnimage::layer
