// Image archives: what other tools read and write, damaged and hostile ones, and that the same
// image gives the same bytes.
#include <cstdlib>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fnimage/archive/open.hpp>
#include <fnimage/archive/write.hpp>
#include <fnimage/base/json.hpp>
#include <fnimage/layer/file_tree.hpp>
#include <fnimage/layer/tar_file.hpp>
#include <fnimage/layer/tar_writer.hpp>
#include <fnimage/registry/image_parts.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "archive_fixture.hpp"

namespace fnimage::archive {
namespace {

namespace fs = std::filesystem;
using registry::ImageStore;
using registry::OpenedImage;
using registry::Selector;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Archives : public ArchiveFixture {
 protected:
  [[nodiscard]] Result<WrittenArchive> write(const Selector& selector, const std::string& name,
                                             WriteOptions options = {}) {
    return write_archive(*memory_, selector, directory_ / name, options, null_diagnostics());
  }
  /// A tar of these files, and of nothing else.
  void write_tar(const std::string& name, const std::map<std::string, std::string>& files) const {
    layer::FileTree tree;
    for (const auto& [path, bytes] : files) {
      unwrap(tree.add({.path = path, .content = memory_content(bytes)}));
    }
    std::string bytes;
    StringWriter out(bytes);
    unwrap(layer::write_tar(tree, out));
    directory_.write(name, bytes);
  }
};

TEST_F(Archives, OciArchiveKeepsAListByteForByte) {
  const auto list = test::put_list(*memory_, "v1");
  const WrittenArchive written = unwrap(write("v1", "a.tar", {.names = {"v1", "stable"}}));
  EXPECT_EQ(written.root.digest, list.digest());
  EXPECT_EQ(written.blobs, 5U);
  const OpenedImage opened = open("oci-archive:a.tar");
  EXPECT_EQ(unwrap(opened.store->get_manifest(opened.selector)).bytes(), list.bytes());
  EXPECT_THAT(unwrap(opened.store->tags()), ElementsAre("stable", "v1"));
  expect_whole(*opened.store, list);
  EXPECT_THAT(opened.store->remove_tag("v1"), fails_with(ErrorCode::unsupported));
}

TEST_F(Archives, TheSameImageGivesTheSameBytes) {
  test::put_list(*memory_, "v1");
  unwrap(write("v1", "a.tar", {.names = {"v1"}}));
  unwrap(write("v1", "b.tar", {.names = {"v1"}}));
  EXPECT_TRUE(directory_.read("a.tar") == directory_.read("b.tar"));
  EXPECT_THAT(directory_.list(), ElementsAre("a.tar", "b.tar"));  // and no temporaries
}

TEST_F(Archives, CompressedArchivesAreReadToo) {
  const auto list = test::put_list(*memory_, "v1");
  unwrap(write("v1", "a.tar", {.names = {"v1"}}));
  for (const std::string tool : {"gzip", "zstd -q", "xz"}) {
    ASSERT_EQ(shell(tool + " -c a.tar > packed"), 0) << tool;
    const OpenedImage opened = open("oci-archive:packed:v1");
    expect_whole(*opened.store, list);
  }
}

TEST_F(Archives, DockerArchiveHasOneImageUnderItsNames) {
  const manifest::Document image = put_real_image();
  unwrap(write(image.digest(), "d.tar",
               {.kind = ArchiveKind::docker, .names = {"team/action:v1", "other"}}));
  const auto saved = unwrap(parse_json(member("d.tar", "manifest.json"), "manifest.json"));
  EXPECT_THAT(saved.at(0).at("RepoTags"), ElementsAre("team/action:v1", "other:latest"));
  for (const std::string name :
       {"", ":team/action:v1", ":action:v1", ":other", ":other:latest", ":@0"}) {
    const OpenedImage opened = open("docker-archive:d.tar" + name);
    const auto found = unwrap(opened.store->get_manifest(opened.selector));
    expect_whole(*opened.store, found);
    EXPECT_EQ(found.digest(), image.digest()) << "index.json has the manifest itself";
  }
  EXPECT_THAT(try_open("docker-archive:d.tar:absent:v1"),
              fails_with(ErrorCode::not_found, HasSubstr("team/action:v1")));
  // The same file is an OCI archive, with the very manifest.
  const OpenedImage oci = open("oci-archive:d.tar:team/action:v1");
  EXPECT_EQ(unwrap(oci.store->resolve(oci.selector))->digest, image.digest());
}

TEST_F(Archives, DockerArchiveOfAListAsksForAPlatform) {
  test::put_list(*memory_, "v1");
  const auto refused = write("v1", "d.tar", {.kind = ArchiveKind::docker});
  ASSERT_THAT(refused, fails_with(ErrorCode::platform_mismatch));
  EXPECT_THAT(refused.error().hint(), HasSubstr("--platform"));
  EXPECT_THAT(directory_.list(), IsEmpty());
}

TEST_F(Archives, NothingIsLeftWhenTheSourceIsDamaged) {
  unwrap(memory_->put_manifest(
      manifest::Document::of(manifest::ImageManifest{.config = missing_blob(), .layers = {}}),
      "broken"));
  directory_.write("a.tar", "what was there before");
  EXPECT_THAT(write("broken", "a.tar"), fails_with(ErrorCode::not_found));
  EXPECT_EQ(directory_.read("a.tar"), "what was there before");
  EXPECT_THAT(directory_.list(), ElementsAre("a.tar"));
}

/// As docker wrote them for years: a directory per layer, links to layers that are there already.
TEST_F(Archives, OldDockerArchivesWithLinkedLayers) {
  const std::string layer = "not a real tar";
  manifest::ImageConfig config;
  config.platform = unwrap(manifest::Platform::parse("linux/amd64"));
  config.diff_ids = {manifest::Digest::of(layer), manifest::Digest::of(layer),
                     manifest::Digest::of(layer)};
  layer::FileTree tree;
  unwrap(tree.add({.path = "aaaa/layer.tar", .content = memory_content(layer)}));
  unwrap(tree.add(
      {.path = "bbbb/layer.tar", .type = layer::EntryType::symlink, .link = "../aaaa/layer.tar"}));
  unwrap(tree.add(
      {.path = "cccc/layer.tar", .type = layer::EntryType::hardlink, .link = "aaaa/layer.tar"}));
  unwrap(tree.add({.path = "config.json", .content = memory_content(emit(config))}));
  unwrap(tree.add({.path = "manifest.json",
                   .content = memory_content(
                       R"([{"Config":"config.json","RepoTags":null,"Layers":["aaaa/layer.tar",)"
                       R"("bbbb/layer.tar","cccc/layer.tar"]}])")}));
  std::string bytes;
  StringWriter out(bytes);
  unwrap(layer::write_tar(tree, out));
  directory_.write("d.tar", bytes);
  const OpenedImage opened = open("docker-archive:d.tar");
  const auto image = unwrap(unwrap(opened.store->get_manifest(opened.selector)).image());
  ASSERT_EQ(image.layers.size(), 3U);
  for (const auto& blob : image.layers) {
    const auto content = unwrap(opened.store->blob(blob));
    EXPECT_EQ(unwrap(read_all(*unwrap(content->open()), 100)), layer);
  }
}

struct HostileArchive {
  std::string name;
  std::string
      script;  ///< Python that makes a.tar with `tar`, an open tarfile, and add(name, bytes)
  std::string message;
};

class Hostile : public Archives, public ::testing::WithParamInterface<HostileArchive> {};

TEST_P(Hostile, IsACleanError) {
  const std::string prelude =
      "import io, tarfile\n"
      "tar = tarfile.open('a.tar', 'w', format=tarfile.GNU_FORMAT)\n"
      "def add(name, data=b'', **fields):\n"
      "    info = tarfile.TarInfo(name); info.size = len(data)\n"
      "    for key, value in fields.items(): setattr(info, key, value)\n"
      "    tar.addfile(info, io.BytesIO(data))\n";
  directory_.write("make.py", prelude + GetParam().script + "\ntar.close()\n");
  ASSERT_EQ(shell("python3 make.py"), 0);
  for (const std::string kind : {"oci-archive:", "docker-archive:"}) {
    EXPECT_THAT(try_open(kind + "a.tar"),
                fails_with(ErrorCode::invalid_input, HasSubstr(GetParam().message)))
        << kind;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, Hostile,
    ::testing::Values(
        HostileArchive{"ParentName", "add('../../etc/passwd', b'x')", "leaves its directory"},
        HostileArchive{"Twice", "add('index.json', b'{}'); add('./index.json', b'{}')",
                       "index.json is in it twice"},
        HostileArchive{"LinkLoop",
                       "for a, b in (('oci-layout', 'manifest.json'), ('manifest.json', "
                       "'oci-layout')):\n"
                       "    add(a, type=tarfile.SYMTYPE, linkname=b)",
                       "lead nowhere"},
        HostileArchive{"LinkOut",
                       "for a in ('oci-layout', 'manifest.json'):\n"
                       "    add(a, type=tarfile.SYMTYPE, linkname='../../../etc/passwd')",
                       "leaves its directory"},
        HostileArchive{"LyingSize",
                       "add('oci-layout', b'{}'); tar.close()\n"
                       "data = bytearray(open('a.tar', 'rb').read())\n"
                       "data[124:136] = b'00077777777\\0'\n"
                       "data[148:156] = b' ' * 8\n"
                       "data[148:156] = b'%06o\\0 ' % sum(data[:512])\n"
                       "open('a.tar', 'wb').write(data)\n"
                       "tar = tarfile.open('other.tar', 'w')",
                       "larger than the archive"},
        HostileArchive{"HugeNames",
                       "tar.close(); tar = tarfile.open('a.tar', 'w', format=tarfile.PAX_FORMAT)\n"
                       "add('x', pax_headers={'comment': 'y' * (8 << 20)})",
                       "a.tar"}),
    [](const auto& tested) { return tested.param.name; });

/// Every way to write names and sizes, read by us and by Python.
TEST_F(Archives, MembersAreFoundInEveryTarDialect) {
  directory_.write(
      "make.py",
      "import hashlib, io, json, random, tarfile\n"
      "random.seed(7)\n"
      "for form in ('USTAR', 'GNU', 'PAX'):\n"
      "    names = {}\n"
      "    with tarfile.open(form + '.tar', 'w', format=getattr(tarfile, form + "
      "'_FORMAT')) as tar:\n"
      "        for number in range(200):\n"
      "            longest = 90 if form == 'USTAR' else 700\n"
      "            name = 'd%d/' % (number % 7) + str(number) + 'n' * "
      "random.randrange(longest)\n"
      "            if number % 9 == 0 and form != 'USTAR': name += '\u00e9\u4e16'\n"
      "            data = random.randbytes(random.choice([0, 1, 511, 512, 513, 9999]))\n"
      "            info = tarfile.TarInfo(name); info.size = len(data)\n"
      "            if form == 'PAX': info.mtime = 1.5\n"
      "            tar.addfile(info, io.BytesIO(data))\n"
      "            names[name] = 'sha256:' + hashlib.sha256(data).hexdigest()\n"
      "    json.dump(names, open(form + '.json', 'w'))\n");
  ASSERT_EQ(shell("python3 make.py"), 0);
  for (const std::string form : {"USTAR", "GNU", "PAX"}) {
    const auto tar = unwrap(layer::TarFile::open(directory_ / (form + ".tar")));
    const auto names = unwrap(parse_json(directory_.read(form + ".json"), form));
    EXPECT_EQ(names.size(), 200U);
    for (const auto& [name, digest] : names.items()) {
      const auto content = unwrap(tar.content(name));
      const std::string bytes = unwrap(read_all(*unwrap(content->open()), 10'000));
      EXPECT_EQ(digest, manifest::Digest::of(bytes).str()) << form << " " << name;
      EXPECT_EQ(unwrap(read_all(*unwrap(content->open(bytes.size() / 2)), 10'000)),
                bytes.substr(bytes.size() / 2));
    }
  }
}

TEST_F(Archives, CutAtAnyPlaceIsAnError) {
  const auto list = test::put_list(*memory_, "v1");
  unwrap(write("v1", "whole.tar", {.names = {"v1"}}));
  const std::string whole = directory_.read("whole.tar");
  constexpr std::size_t end_blocks = 1024;
  for (std::size_t size = 0; size + end_blocks < whole.size(); size += 300) {
    directory_.write("cut.tar", whole.substr(0, size));
    auto opened = try_open("oci-archive:cut.tar:v1");
    // A cut between two members is seen when one that is missing is asked for.
    if (opened) {
      EXPECT_FALSE(reads_whole(*opened->store, list)) << size;
    }
  }
}

TEST_F(Archives, FlippedBytesAreFoundWhenRead) {
  const auto list = test::put_list(*memory_, "v1");
  unwrap(write("v1", "a.tar", {.names = {"v1"}}));
  std::string bytes = directory_.read("a.tar");
  const std::size_t place = bytes.find("shared layer");
  ASSERT_NE(place, std::string::npos);
  bytes[place] = 'S';
  directory_.write("a.tar", bytes);
  const OpenedImage opened = open("oci-archive:a.tar:v1");
  EXPECT_FALSE(reads_whole(*opened.store, list));
}

TEST_F(Archives, RandomDamageIsFoundOrHarmless) {
  const manifest::Document image = put_real_image();
  unwrap(write(image.digest(), "d.tar", {.kind = ArchiveKind::docker, .names = {"a:v1"}}));
  const std::string whole = directory_.read("d.tar");
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same damage on every run
  constexpr int rounds = 300;
  for (int i = 0; i < rounds; ++i) {
    std::string damaged = whole;
    for (int flips = 0; flips <= i % 3; ++flips) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    directory_.write("damaged.tar", damaged);
    for (const std::string kind : {"oci-archive:", "docker-archive:"}) {
      auto opened = try_open(kind + "damaged.tar:a:v1");
      if (opened && reads_all(*opened->store, opened->selector)) {
        const auto found = unwrap(opened->store->get_manifest(opened->selector));
        EXPECT_EQ(unwrap(found.image()).config.digest, unwrap(image.image()).config.digest) << i;
      }
    }
  }
}

TEST_F(Archives, BombsAreRefused) {
  ASSERT_EQ(shell("head -c 300M /dev/zero | gzip -9 > bomb"), 0);
  layer::ArchiveLimits limits;
  limits.max_ratio = 100;
  EXPECT_THAT(layer::TarFile::open(directory_ / "bomb", limits),
              fails_with(ErrorCode::invalid_input, HasSubstr("grows more than 100 times")));
}

TEST_F(Archives, WhatIsNoArchiveSaysSo) {
  directory_.write("text", "no tar at all");
  for (const std::string kind : {"oci-archive:", "docker-archive:"}) {
    EXPECT_THAT(try_open(kind + "text"), fails_with(ErrorCode::invalid_input));
    EXPECT_THAT(try_open(kind + "absent"), fails_with(ErrorCode::not_found));
  }
  write_tar("other.tar", {{"readme", "hello"}});
  EXPECT_THAT(try_open("oci-archive:other.tar"),
              fails_with(ErrorCode::not_found, HasSubstr("not an OCI layout")));
  EXPECT_THAT(try_open("docker-archive:other.tar"),
              fails_with(ErrorCode::invalid_input, HasSubstr("no manifest.json")));
}

TEST_F(Archives, BrokenDockerManifestsAreErrors) {
  for (const std::string text :
       {"{}", "[1]", "[{}]", R"([{"Config":"absent"}])", R"([{"Config":1}])",
        R"([{"Config":"c","Layers":["absent"]}])", R"([{"Config":"c","Layers":"x"}])"}) {
    write_tar("d.tar", {{"manifest.json", text},
                        {"c", R"({"architecture":"amd64","os":"linux","rootfs":)"
                              R"({"type":"layers","diff_ids":[]}})"}});
    EXPECT_FALSE(try_open("docker-archive:d.tar")) << text;
  }
}

/// An image with a real layer, which other tools want to unpack.
class Interop : public Archives {
 protected:
  void SetUp() override {
    if (shell("skopeo --version >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "skopeo is not installed";
    }
    image_ = put_real_image();
  }
  [[nodiscard]] int skopeo(const std::string& from, const std::string& to) const {
    return shell("skopeo --insecure-policy copy -q " + from + " " + to);
  }
  std::optional<manifest::Document> image_;
};

TEST_F(Interop, SkopeoReadsOurOciArchive) {
  unwrap(write(image_->digest(), "a.tar", {.names = {"v1"}}));
  ASSERT_EQ(skopeo("oci-archive:a.tar:v1", "oci:out:v2"), 0);
  const OpenedImage opened = open("oci:out:v2");
  EXPECT_EQ(unwrap(opened.store->get_manifest(opened.selector)).bytes(), image_->bytes());
}

TEST_F(Interop, WeReadSkopeosOciArchive) {
  unwrap(write(image_->digest(), "a.tar", {.names = {"v1"}}));
  ASSERT_EQ(skopeo("oci-archive:a.tar:v1", "oci-archive:theirs.tar:v2"), 0);
  const OpenedImage opened = open("oci-archive:theirs.tar");
  expect_whole(*opened.store, *image_);
}

TEST_F(Interop, SkopeoReadsOurDockerArchive) {
  unwrap(write(image_->digest(), "d.tar",
               {.kind = ArchiveKind::docker, .names = {"registry.example/action:v1"}}));
  ASSERT_EQ(skopeo("docker-archive:d.tar:registry.example/action:v1", "oci:out:v1"), 0);
  const OpenedImage opened = open("oci:out:v1");
  const auto theirs = unwrap(unwrap(opened.store->get_manifest(opened.selector)).image());
  EXPECT_EQ(theirs.config.digest, unwrap(image_->image()).config.digest);
}

TEST_F(Interop, WeReadSkopeosDockerArchive) {
  unwrap(write(image_->digest(), "a.tar", {.names = {"v1"}}));
  ASSERT_EQ(skopeo("oci-archive:a.tar:v1", "docker-archive:theirs.tar:action:v1"), 0);
  for (const std::string name : {"", ":action:v1"}) {
    const OpenedImage opened = open("docker-archive:theirs.tar" + name);
    const auto found = unwrap(opened.store->get_manifest(opened.selector));
    expect_whole(*opened.store, found);
    EXPECT_EQ(unwrap(found.image()).config.digest, unwrap(image_->image()).config.digest);
  }
}

}  // namespace
}  // namespace fnimage::archive
