// One .deb and its parts in the cache: which contents are kept there.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/test/raw_tar.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/package.hpp"

namespace fnimage::source::debian {
namespace {

namespace fs = std::filesystem;

using test::raw_file;
using test::raw_hardlink;
using test::raw_tar;
using test::RawTarEntry;
using test::TempDir;
using test::unwrap;

class PackageContents : public ::testing::Test {
 protected:
  /// Unpacks it twice, so that what the cache makes of it is the same.
  UnpackedPackage unpack(const std::vector<RawTarEntry>& data, bool documentation) {
    const std::string control = raw_tar({raw_file("./control", "Package: a\nVersion: 1\n")});
    const std::string deb = test::raw_deb(control, raw_tar(data));
    const fs::path path = temp_.write("x.deb", deb);
    PackageFile file{.what = "the package",
                     .sha256 = manifest::Digest::of(deb),
                     .fetch = [path] { return Result<fs::path>(path); },
                     .documentation = documentation};
    const UnpackedPackage first = unwrap(unpack_package(file, temp_.path() / "cache"));
    file.fetch = []() -> Result<fs::path> { return fail(ErrorCode::internal, "unpacked again"); };
    UnpackedPackage second = unwrap(unpack_package(file, temp_.path() / "cache"));
    EXPECT_EQ(texts(first), texts(second));
    EXPECT_EQ(first.file_list, second.file_list);
    return second;
  }

  static std::map<std::string, std::string> texts(const UnpackedPackage& package) {
    std::map<std::string, std::string> found;
    for (const layer::Entry& entry : package.entries) {
      found[entry.path] =
          entry.content ? unwrap(read_all(*unwrap(entry.content->open()), 100)) : std::string();
    }
    return found;
  }

  TempDir temp_;
};

const std::string page = "usr/share/man/man1/a.1";
const std::string copyright = "usr/share/doc/a/copyright";

TEST_F(PackageContents, DocumentationIsKeptWhenItIsAskedFor) {
  const std::vector<RawTarEntry> data{raw_file("./usr/bin/a", "A"), raw_file("./" + page, "M"),
                                      raw_file("./" + copyright, "C")};
  const UnpackedPackage without = unpack(data, false);
  const std::map<std::string, std::string> kept{{"usr/bin/a", "A"}, {page, ""}, {copyright, "C"}};
  EXPECT_EQ(texts(without), kept);
  EXPECT_EQ(without.file_list, "/.\n/usr/bin/a\n/" + page + "\n/" + copyright + "\n");
  EXPECT_EQ(texts(unpack(data, true)).at(page), "M");
}

TEST_F(PackageContents, HardLinksKeepTheirContent) {
  const std::vector<RawTarEntry> data{raw_file("./" + page, "M"),
                                      raw_hardlink("./" + copyright, "./" + page)};
  EXPECT_EQ(texts(unpack(data, false)).at(page), "M");
}

}  // namespace
}  // namespace fnimage::source::debian
