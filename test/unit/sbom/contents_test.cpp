// From the layers of an image to its packages.
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "support.hpp"

namespace fnimage::sbom {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Warnings final : public Diagnostics {
 public:
  void report(Severity severity, std::string_view message) noexcept override {
    const std::lock_guard lock(mutex_);
    if (severity == Severity::warning) {
      said.emplace_back(message);
    }
  }
  std::unique_ptr<ProgressTask> begin(std::string_view label,
                                      std::uint64_t total) noexcept override {
    return null_diagnostics().begin(label, total);
  }
  std::vector<std::string> said;

 private:
  std::mutex mutex_;
};

class ImageContents : public ::testing::Test {
 protected:
  Contents read(const TestImage& image) {
    put_test_image(*store_, image, "image");
    return unwrap(contents_of(*store_, "image", warnings_)).front();
  }
  static std::vector<std::string> names(const Contents& contents) {
    std::vector<std::string> all;
    for (const source::InstalledPackage& package : contents.installed.packages) {
      all.push_back(package.name);
    }
    return all;
  }

  std::unique_ptr<registry::ImageStore> store_ = registry::make_memory_store("memory");
  Warnings warnings_;
};

TEST_F(ImageContents, PackagesAndDistribution) {
  const Contents contents = read({.layers = {{{"usr/lib/os-release", std::string(os_release)},
                                              {"etc/os-release@", "../usr/lib/os-release"},
                                              {"var/lib/dpkg/status", small_status()}}}});
  EXPECT_TRUE(contents.has_database);
  EXPECT_THAT(names(contents), ElementsAre("libc6", "libstdc++6", "python3-x"));
  EXPECT_EQ(contents.distribution,
            (Distribution{
                .id = "debian", .version = "12", .full_name = "Debian GNU/Linux 12 (bookworm)"}));
  EXPECT_EQ(contents.created, "2023-06-10T12:00:00Z");
  EXPECT_EQ(contents.platform.str(), "linux/ppc64le");
  EXPECT_EQ(contents.name, "hello");
  EXPECT_THAT(warnings_.said, IsEmpty());
}

TEST_F(ImageContents, TheUpperLayerCounts) {
  const Contents contents =
      read({.layers = {{{"var/lib/dpkg/status", small_status()}},
                       {{"var/lib/dpkg/status", "Package: a\nVersion: 1\nArchitecture: all\n"}}}});
  EXPECT_THAT(names(contents), ElementsAre("a"));
}

TEST_F(ImageContents, WhatIsHiddenIsNotThere) {
  const Contents contents = read({.layers = {{{"var/lib/dpkg/status", small_status()},
                                              {"usr/bin/x", std::string(100'000, 'x')}},
                                             {{"var/lib/dpkg/.wh.status", ""}}}});
  EXPECT_FALSE(contents.has_database);
  EXPECT_THAT(names(contents), IsEmpty());
  EXPECT_THAT(warnings_.said,
              ElementsAre("linux/ppc64le: the image has no Debian package database: the bill of "
                          "materials names the image only"));
}

TEST_F(ImageContents, SingleParagraphsOfImagesWithoutDpkg) {
  const Contents contents =
      read({.layers = {{{"etc/os-release", "ID='debian'\nVERSION_CODENAME=trixie\n"},
                        {"var/lib/dpkg/status.d/base",
                         "Package: base-files\nVersion: 12\n"
                         "Architecture: amd64\n"},
                        {"var/lib/dpkg/status.d/base.md5sums", "0123  etc/debian_version\n"},
                        {"var/lib/dpkg/status.d/libc6",
                         "Package: libc6\nVersion: 2\n"
                         "Architecture: amd64\n"}}}});
  EXPECT_THAT(names(contents), ElementsAre("base-files", "libc6"));
  EXPECT_EQ(contents.distribution.version, "trixie");
}

TEST_F(ImageContents, AnEmptyDatabaseIsSaid) {
  const Contents contents = read({.layers = {{{"var/lib/dpkg/status", ""}}}});
  EXPECT_TRUE(contents.has_database);
  EXPECT_THAT(warnings_.said, ElementsAre(HasSubstr("is empty")));
}

TEST_F(ImageContents, TheImagesOwnTitleIsItsName) {
  EXPECT_EQ(
      read({.layers = {}, .annotations = {{std::string(manifest::annotation::title), "digits"}}})
          .name,
      "digits");
}

TEST_F(ImageContents, EachPlatformOfAList) {
  manifest::Index list;
  for (const auto& [platform, architecture] :
       {std::pair{"linux/amd64", "amd64"}, std::pair{"linux/ppc64le", "ppc64el"}}) {
    list.put(put_test_image(*store_,
                            {.layers = {{{"etc/os-release", std::string(os_release)}},
                                        {{"var/lib/dpkg/status", small_status(architecture)}}},
                             .platform = platform},
                            ""));
  }
  unwrap(store_->put_manifest(manifest::Document::of(list), "list"));
  const auto all = unwrap(contents_of(*store_, "list"));
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].installed.packages[0].architecture, "amd64");
  EXPECT_EQ(all[1].installed.packages[0].architecture, "ppc64el");
  EXPECT_EQ(all[1].distribution.id, "debian");
}

TEST_F(ImageContents, DamageIsAnErrorThatNamesThePlatformAndFile) {
  put_test_image(*store_, {.layers = {{{"var/lib/dpkg/status", "Package: a\n???\n"}}}}, "image");
  EXPECT_THAT(contents_of(*store_, "image"),
              fails_with(ErrorCode::invalid_input, HasSubstr("/var/lib/dpkg/status:2")));
  put_test_image(*store_,
                 {.layers = {{{"var/lib/dpkg/status", std::string((32U << 20U) + 1, '\n')}}}},
                 "image");
  EXPECT_THAT(contents_of(*store_, "image"),
              fails_with(ErrorCode::invalid_input, HasSubstr("more than 32 MiB")));
}

TEST_F(ImageContents, LinksAndDirectoriesInsteadOfFilesAreNoDatabase) {
  EXPECT_FALSE(read({.layers = {{{"var/lib/dpkg/status@", "status"}}}}).has_database);
  EXPECT_FALSE(read({.layers = {{{"var/lib/dpkg/status/x", ""}}}}).has_database);
  EXPECT_FALSE(read({.layers = {{{"var/lib/dpkg/status.d", ""}}}}).has_database);
  EXPECT_TRUE(read({.layers = {{{"usr/lib/dpkg/status", small_status()},
                                {"var/lib/dpkg@", "/usr/lib/dpkg"}}}})
                  .has_database);
}

}  // namespace
}  // namespace fnimage::sbom
