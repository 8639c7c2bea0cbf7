// The canonical form: golden bytes, and three foreign readers that agree on what they mean.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fnimage/layer/tar_writer.hpp>
#include <fnimage/test/golden.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "support.hpp"

namespace fnimage::layer {
namespace {

using fnimage::test::fails_with;
using fnimage::test::is_ok;
using fnimage::test::unwrap;
using test::directory;
using test::file;
using test::hardlink;
using test::run;
using test::symlink;
using test::tar_of;
using ::testing::HasSubstr;

/// Every kind of entry and every reason for a pax record but size.
FileTree all_kinds() {
  FileTree tree;
  const std::string part(60, 'p');
  const auto add = [&](Entry entry) {
    if (entry.mtime == 0) {
      entry.mtime = 1700000000;
    }
    unwrap(tree.add(std::move(entry)));
  };
  add(directory("dir"));
  add(file("dir/file", "hello\n"));
  add(file("dir/empty", ""));
  add(symlink("dir/link", "file"));
  add(hardlink("a-hard", "dir/file"));
  add(hardlink("z-hard", "dir/file"));
  add(hardlink("z-link", "dir/link"));
  add(file(part + "/" + part + "/name", "split"));
  add(file("long-" + std::string(120, 'n'), "unsplittable"));
  add(file("d\xc3\xbcrer", "utf-8"));
  add(file("latin-\xfc", "not utf-8"));
  add(symlink("far", std::string(101, 't')));
  Entry owned = file("owned", "x");
  owned.uid = 2097152;
  owned.gid = 4294967294U;
  owned.mode = 06755;
  add(owned);
  Entry old = file("old", "x");
  old.mtime = -5;
  add(old);
  Entry future = file("future", "x");
  future.mtime = std::int64_t{1} << 33;
  add(future);
  Entry attributed = file("attributed", "x");
  attributed.xattrs["user.b"] = std::string("\0\n=", 3);
  attributed.xattrs["security.capability"] = "cap";
  add(attributed);
  Entry device = directory("null");
  device.type = EntryType::char_device;
  device.mode = 0666;
  device.device_major = 1;
  device.device_minor = 3;
  add(device);
  return tree;
}

class SizedContent final : public Content {
 public:
  SizedContent(std::uint64_t says, std::string has) : says_(says), has_(std::move(has)) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return says_; }
  [[nodiscard]] Result<std::unique_ptr<Reader>> open(std::uint64_t) const override {
    return memory_reader(has_);
  }

 private:
  std::uint64_t says_;
  std::string has_;
};

Result<void> write_sized(std::uint64_t says, std::string has) {
  FileTree tree;
  Entry entry = file("dir/file", "");
  entry.content = std::make_shared<SizedContent>(says, std::move(has));
  unwrap(tree.add(entry));
  std::string bytes;
  StringWriter out(bytes);
  return write_tar(tree, out);
}

TEST(TarWriter, GoldenBytes) {
  EXPECT_TRUE(
      fnimage::test::matches_golden(tar_of(all_kinds()), "unit/layer/golden/all_kinds.tar"));
}

TEST(TarWriter, EmptyTreeIsTwoZeroBlocks) {
  EXPECT_EQ(tar_of(FileTree()), std::string(1024, '\0'));
}

TEST(TarWriter, LocaleAndTimeZoneChangeNothing) {
  const std::string before = tar_of(all_kinds());
  const char* const old = setlocale(LC_ALL, "C.UTF-8");
  ::setenv("TZ", "Asia/Tokyo", 1);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(tar_of(all_kinds()), before);
  ::unsetenv("TZ");  // NOLINT(concurrency-mt-unsafe)
  setlocale(LC_ALL, "C");
  EXPECT_NE(old, nullptr);
}

TEST(TarWriter, HardLinksPointToTheFirstName) {
  FileTree one;
  unwrap(one.add(file("b", "x")));
  unwrap(one.add(hardlink("a", "b")));
  FileTree other;
  unwrap(other.add(file("a", "x")));
  unwrap(other.add(hardlink("b", "a")));
  EXPECT_EQ(tar_of(one), tar_of(other));
}

TEST(TarWriter, ErrorsNameTheFile) {
  EXPECT_THAT(write_sized(10, "short"), fails_with(ErrorCode::io, HasSubstr("dir/file")));
  EXPECT_THAT(write_sized(2, "longer"), fails_with(ErrorCode::io, HasSubstr("dir/file")));
  FileTree tree;
  unwrap(tree.add(hardlink("h", "nothing")));
  std::string bytes;
  StringWriter out(bytes);
  EXPECT_THAT(write_tar(tree, out), fails_with(ErrorCode::invalid_input, HasSubstr("nothing")));
  FileTree loop;
  unwrap(loop.add(hardlink("h", "i")));
  unwrap(loop.add(hardlink("i", "h")));
  EXPECT_THAT(write_tar(loop, out), fails_with(ErrorCode::invalid_input));
}

TEST(TarWriter, GrowingFileIsNoticed) {
  const fnimage::test::TempDir temp;
  const auto path = temp.write("grows", "before");
  FileTree tree;
  Entry entry = file("grows", "");
  entry.content = unwrap(file_content(path));
  unwrap(tree.add(entry));
  std::ofstream(path, std::ios::app) << "after";
  std::string bytes;
  StringWriter out(bytes);
  EXPECT_THAT(write_tar(tree, out), fails_with(ErrorCode::io, HasSubstr("grows")));
}

TEST(TarWriter, HugeSizeGoesIntoAPaxRecord) {
  FileTree tree;
  Entry entry = file("huge", "");
  entry.content = std::make_shared<SizedContent>(std::uint64_t{1} << 33, "");
  unwrap(tree.add(entry));
  std::string bytes;
  StringWriter out(bytes);
  EXPECT_THAT(write_tar(tree, out), fails_with(ErrorCode::io));
  EXPECT_THAT(bytes, HasSubstr("19 size=8589934592\n"));
  EXPECT_EQ(bytes.substr(124 + 1024, 12), std::string("00000000000\0", 12));
}

TEST(TarWriter, ForeignReadersAgree) {
  const fnimage::test::TempDir temp;
  const std::string tar = temp.write("all.tar", tar_of(all_kinds())).string();
  const std::string gnu = run("LC_ALL=C.UTF-8 tar --numeric-owner -tvf " + tar + " 2>&1");
  EXPECT_THAT(gnu, HasSubstr("-rw-r--r-- 0/0"));
  EXPECT_THAT(gnu, HasSubstr("a-hard\n"));
  EXPECT_THAT(gnu, HasSubstr("dir/file link to a-hard\n"));
  EXPECT_THAT(gnu, HasSubstr("z-link -> file\n"));
  EXPECT_THAT(gnu, HasSubstr("-rwsr-sr-x 2097152/4294967294"));
  EXPECT_THAT(gnu, HasSubstr("1,3"));
  const std::string python = run(
      "python3 - " + tar +
      " <<'END'\n"
      "import sys, tarfile\n"
      "t = tarfile.open(sys.argv[1], encoding='utf-8', errors='surrogateescape')\n"
      "for m in t:\n"
      "  b = t.extractfile(m).read() if m.isreg() else b''\n"
      "  sys.stdout.buffer.write(m.name.encode('utf-8', 'surrogateescape') + b' %d %d %d %s ' % "
      "(m.uid, m.gid, m.mtime, b))\n"
      "  sys.stdout.buffer.write(m.linkname.encode() + b'\\n')\n"
      "END");
  EXPECT_THAT(python, HasSubstr("d\xc3\xbcrer 0 0 1700000000 utf-8 \n"));
  EXPECT_THAT(python, HasSubstr("latin-\xfc 0 0 1700000000 not utf-8 \n"));
  EXPECT_THAT(python, HasSubstr("old 0 0 -5 x \n"));
  EXPECT_THAT(python, HasSubstr("future 0 0 8589934592 x \n"));
  EXPECT_THAT(python, HasSubstr("owned 2097152 4294967294 1700000000 x \n"));
  EXPECT_THAT(python, HasSubstr("long-" + std::string(120, 'n') + " 0 0 1700000000 unsplit"));
  const std::string names = "LC_ALL=C.UTF-8 ";
  if (run("command -v bsdtar || true").empty()) {
    GTEST_SKIP() << "bsdtar is not installed";
  }
  EXPECT_EQ(run(names + "bsdtar -tf " + tar + " 2>/dev/null | grep -v latin"),
            run(names + "tar --quoting-style=literal -tf " + tar + " | grep -av latin"));
}

}  // namespace
}  // namespace fnimage::layer
