// The whole path over a small mirror made here: signed release, indexes, real .debs. Needs
// dpkg-deb, gpg and xz, and skips with the reason when one is missing. Nothing leaves this machine.
#include <chrono>
#include <ctime>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/source/debian.hpp>
#include <fnimage/source/package_pool.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/process.hpp"

namespace fnimage::source {
namespace {

using debian::run_program;
using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::HasSubstr;

bool has_program(const std::string& name) {
  const std::array<std::string, 2> command{name, "--version"};
  return run_program(command).has_value();
}

void run(std::vector<std::string> command) {
  const auto output = unwrap(run_program(command));
  if (output.exit_code != 0) {
    throw std::runtime_error(command.front() + ": " + output.standard_error);
  }
}

std::string release_date(int days) {
  const std::time_t time = std::time(nullptr) + days * 86400;
  std::tm fields{};
  ::gmtime_r(&time, &fields);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S UTC", &fields);
  return text.data();
}

class Mirror : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"dpkg-deb", "gpg", "gpgv", "xz"}) {
      if (!has_program(program)) {
        GTEST_SKIP() << program << " is not installed";
      }
    }
    gnupg_ = (dir_ / "gnupg").string();
    std::filesystem::create_directories(gnupg_);
    std::filesystem::permissions(gnupg_, std::filesystem::perms::owner_all);
    run(gpg({"--passphrase", "", "--quick-gen-key", "archive@mirror.example", "ed25519", "sign",
             "never"}));
    run(gpg({"--output", (dir_ / "key.gpg").string(), "--export"}));
    add_package("base-files", "amd64", "", {{"etc/os-release", "ID=test\n"}, {"lib/base", "b"}});
    add_package("base-files", "ppc64el", "", {{"etc/os-release", "ID=test\n"}, {"lib/base", "b"}});
    add_package("tool", "amd64", "Depends: tool-data\n", {{"bin/tool", "x86"}});
    add_package("tool", "ppc64el", "Depends: tool-data\n", {{"bin/tool", "power"}});
    add_package("tool-data", "all", "", {{"usr/share/tool/data", "shared"}});
    publish();
  }

  void TearDown() override {
    const std::vector<std::string> stop{"gpgconf", "--homedir", gnupg_, "--kill", "all"};
    static_cast<void>(run_program(stop));
  }

  std::vector<std::string> gpg(std::vector<std::string> arguments) const {
    std::vector<std::string> command{"gpg",   "--homedir",       gnupg_,    "--batch",
                                     "--yes", "--pinentry-mode", "loopback"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }

  void add_package(const std::string& name, const std::string& architecture,
                   const std::string& fields,
                   const std::vector<std::pair<std::string, std::string>>& files) {
    const std::string root = fmt::format("build/{}_{}", name, architecture);
    const std::string control = fmt::format(
        "Package: {}\nVersion: 1.0\nArchitecture: {}\nMaintainer: A "
        "<a@mirror.example>\n{}Description: test\n",
        name, architecture, fields);
    dir_.write(root + "/DEBIAN/control", control);
    for (const auto& [path, text] : files) {
      dir_.write(root + "/" + path, text);
    }
    const std::string deb = fmt::format("pool/{}_1.0_{}.deb", name, architecture);
    std::filesystem::create_directories(dir_ / "mirror/pool");
    run({"dpkg-deb", "--root-owner-group", "--build", (dir_ / root).string(),
         (dir_ / ("mirror/" + deb)).string()});
    const std::string bytes = dir_.read("mirror/" + deb);
    const std::string paragraph = fmt::format("{}Filename: {}\nSize: {}\nSHA256: {}\n\n", control,
                                              deb, bytes.size(), manifest::Digest::of(bytes).hex());
    for (const std::string target : {"amd64", "ppc64el"}) {
      if (architecture == "all" || architecture == target) {
        packages_[target] += paragraph;
      }
    }
  }

  // Writes indexes and the signed release file. `packed`: what compressed indexes hold instead.
  void publish(int valid_for_days = 7, const std::string& packed = {}) {
    std::string release = fmt::format(
        "Suite: stable\nCodename: testing1\nDate: {}\nValid-Until: {}\nArchitectures: amd64 "
        "ppc64el\n"
        "Components: main\nSHA256:\n",
        release_date(-1), release_date(valid_for_days));
    for (const auto& [architecture, text] : packages_) {
      const std::string path = fmt::format("main/binary-{}/Packages", architecture);
      const auto file = dir_.write("mirror/dists/testing1/" + path, text);
      const auto source = packed.empty() ? file : dir_.write("packed", packed);
      run({"sh", "-c", "xz -c \"$0\" > \"$1.xz\"", source.string(), file.string()});
      for (const std::string suffix : {"", ".xz"}) {
        const std::string bytes = dir_.read("mirror/dists/testing1/" + path + suffix);
        release += fmt::format(" {} {} {}\n", manifest::Digest::of(bytes).hex(), bytes.size(),
                               path + suffix);
      }
    }
    const auto file = dir_.write("Release", release);
    run(gpg({"--output", (dir_ / "mirror/dists/testing1/InRelease").string(), "--clearsign",
             file.string()}));
  }

  DebianSettings settings() const {
    return {.release = "testing1",
            .mirror = "file://" + (dir_ / "mirror").string(),
            .keyring = dir_ / "key.gpg",
            .cache_directory = dir_ / "cache",
            .apt_directory = dir_ / "apt"};
  }

  Result<std::unique_ptr<DebianArchive>> open(const DebianSettings& settings) {
    return DebianArchive::open(settings, nullptr, pool_, null_diagnostics());
  }

  Result<std::vector<NamedTree>> assemble(const PackageSet& set, const DebianSettings& settings) {
    FNIMAGE_TRY(const auto packages, PackagePool::open(settings, nullptr, null_diagnostics()));
    FNIMAGE_TRY(Assembly assembly, packages->assemble(set, {.max_mtime = 1'600'000'000}));
    return std::move(assembly.trees);
  }

  Result<std::vector<NamedTree>> build(const std::string& architecture,
                                       const DebianSettings& settings) {
    FNIMAGE_TRY(const auto archive, open(settings));
    FNIMAGE_TRY(const auto platform, manifest::Platform::parse(architecture));
    FNIMAGE_TRY(const PackageSet set, archive->resolve({.packages = {"tool"}}, platform));
    return assemble(set, settings);
  }

  void corrupt(const std::string& name, std::size_t at) {
    std::string bytes = dir_.read(name);
    bytes.at(at) = static_cast<char>(bytes.at(at) ^ 1);
    dir_.write(name, bytes);
  }

  static std::vector<std::string> names_of(const std::vector<NamedTree>& trees) {
    std::vector<std::string> names;
    for (const NamedTree& one : trees) {
      names.push_back(one.name);
    }
    return names;
  }

  static std::string text_of(const layer::FileTree& tree, std::string_view path) {
    const layer::Entry* entry = tree.resolve(path);
    return entry == nullptr ? "missing" : unwrap(read_all(*unwrap(entry->content->open()), 4096));
  }

  test::TempDir dir_;
  std::string gnupg_;
  std::map<std::string, std::string> packages_;
  WorkerPool pool_;
};

TEST_F(Mirror, GivesTreesForBothArchitectures) {
  const auto amd64 = unwrap(build("amd64", settings()));
  const auto ppc64le = unwrap(build("ppc64le", settings()));
  ASSERT_THAT(names_of(amd64),
              testing::ElementsAre("base", "packages-all", "packages", "configuration"));
  EXPECT_EQ(amd64[1].tree.key(), ppc64le[1].tree.key());
  EXPECT_NE(amd64[2].tree.key(), ppc64le[2].tree.key());
  EXPECT_EQ(text_of(amd64[1].tree, "usr/share/tool/data"), "shared");
  EXPECT_EQ(text_of(ppc64le[2].tree, "usr/bin/tool"), "power");
  EXPECT_EQ(text_of(ppc64le[0].tree, "usr/lib/base"), "b");
  EXPECT_EQ(ppc64le[3].tree.find("bin")->link, "usr/bin");
  EXPECT_EQ(ppc64le[3].tree.find("tmp")->mode, 01777U);
  EXPECT_THAT(text_of(ppc64le[3].tree, "var/lib/dpkg/status"),
              HasSubstr("Package: tool-data\nStatus: install ok"));
}

TEST_F(Mirror, WarmCacheGivesTheSameWithoutTheMirror) {
  const auto first = unwrap(build("ppc64le", settings()));
  std::filesystem::remove_all(dir_ / "mirror");
  DebianSettings offline = settings();
  offline.offline = true;
  const auto second = unwrap(build("ppc64le", offline));
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].tree.key(), second[i].tree.key());
  }
  EXPECT_THAT(build("amd64", offline),
              fails_with(ErrorCode::unavailable, HasSubstr("not in the cache")));
}

TEST_F(Mirror, WorksFromTheHostsAptSources) {
  run(gpg({"--armor", "--output", (dir_ / "key.asc").string(), "--export"}));
  DebianSettings host = settings();
  dir_.write("apt/sources.list", fmt::format("deb [signed-by={}] {} testing1 main\n",
                                             (dir_ / "key.asc").string(), host.mirror));
  host.mirror.clear();
  host.keyring.clear();
  EXPECT_THAT(build("amd64", host), is_ok());
}

TEST_F(Mirror, RefusesATamperedRelease) {
  const std::string name = "mirror/dists/testing1/InRelease";
  corrupt(name, dir_.read(name).find("Components: main") + 12);
  EXPECT_THAT(open(settings()), fails_with(ErrorCode::verification, HasSubstr("bad signature")));
}

TEST_F(Mirror, RefusesAnUnknownKey) {
  std::string other = (dir_ / "other").string();
  std::filesystem::create_directories(other);
  std::filesystem::permissions(other, std::filesystem::perms::owner_all);
  std::swap(gnupg_, other);
  run(gpg({"--passphrase", "", "--quick-gen-key", "b@mirror.example", "ed25519", "sign", "never"}));
  run(gpg({"--output", (dir_ / "other.gpg").string(), "--export"}));
  DebianSettings wrong = settings();
  wrong.keyring = dir_ / "other.gpg";
  EXPECT_THAT(open(wrong), fails_with(ErrorCode::verification, HasSubstr("not trusted")));
}

TEST_F(Mirror, RefusesAnExpiredRelease) {
  publish(-1);
  DebianSettings host = settings();
  // Said here, because this machine's apt may be configured not to care.
  dir_.write("apt/sources.list",
             fmt::format("deb [check-valid-until=yes] {} testing1 main\n", host.mirror));
  host.mirror.clear();
  EXPECT_THAT(open(host), fails_with(ErrorCode::verification, HasSubstr("expired")));
}

TEST_F(Mirror, RefusesAChangedIndexAndLeavesNothing) {
  corrupt("mirror/dists/testing1/main/binary-ppc64el/Packages.xz", 40);
  EXPECT_THAT(build("ppc64le", settings()),
              fails_with(ErrorCode::verification, HasSubstr("Packages")));
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "cache/index"));
}

// A16: the release file is signed, but by whom is for the user to say.
TEST_F(Mirror, RefusesAnIndexThatGrowsBeyondWhatItsReleaseFileSays) {
  publish(7, std::string(std::size_t{64} << 20, '\n'));
  EXPECT_THAT(build("amd64", settings()),
              fails_with(ErrorCode::verification, HasSubstr("larger than its release file says")));
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "cache/index"));
}

TEST_F(Mirror, RefusesAnIndexThatHasNoEndOfAPackage) {
  const std::string line(std::size_t{64} << 10, 'x');
  std::string lines;
  for (int i = 0; i < 100; ++i) {
    lines += "Depends: " + line + "\n";
  }
  for (const std::string& text :
       {"Description: " + std::string(std::size_t{5} << 20, 'x'), lines}) {
    packages_["amd64"] = text;
    publish();
    EXPECT_THAT(build("amd64", settings()),
                fails_with(ErrorCode::invalid_input, HasSubstr("more than 4194304 bytes")));
  }
}

TEST_F(Mirror, RefusesAChangedPackage) {
  corrupt("mirror/pool/tool_1.0_ppc64el.deb", 80);
  EXPECT_THAT(build("ppc64le", settings()),
              fails_with(ErrorCode::verification, HasSubstr("tool_1.0_ppc64el.deb")));
}

TEST_F(Mirror, DamagedCacheIsMadeAnew) {
  const auto first = unwrap(build("ppc64le", settings()));
  for (const auto& pack : std::filesystem::directory_iterator(dir_ / "cache/packs")) {
    if (pack.path().extension() == ".pack") {
      corrupt("cache/packs/" + pack.path().filename().string(), 0);
    }
  }
  const auto damaged = unwrap(build("ppc64le", settings()));
  EXPECT_THAT(read_all(*unwrap(damaged[2].tree.resolve("usr/bin/tool")->content->open()), 4096),
              fails_with(ErrorCode::verification));
  EXPECT_EQ(discard_damaged_packages(dir_ / "cache"), 3U);
  for (const auto& control : std::filesystem::directory_iterator(dir_ / "cache/control")) {
    corrupt("cache/control/" + control.path().filename().string(), 60);
  }
  const auto again = unwrap(build("ppc64le", settings()));
  EXPECT_EQ(text_of(again[2].tree, "usr/bin/tool"), "power");
  EXPECT_EQ(text_of(again.back().tree, "var/lib/dpkg/status"),
            text_of(first.back().tree, "var/lib/dpkg/status"));
  EXPECT_EQ(discard_damaged_packages(dir_ / "cache"), 0U);
}

TEST_F(Mirror, WhatAKilledBuildLeftIsRemoved) {
  static_cast<void>(unwrap(build("ppc64le", settings())));
  constexpr int no_process = 0x7ffffff0;  // above every pid
  const std::string left = fmt::format(".tmp-{}-00", no_process);
  for (const std::string part : {"release", "index", "debs", "packs", "control"}) {
    dir_.write(fmt::format("cache/{}/{}", part, left), "cut");
  }
  static_cast<void>(unwrap(build("ppc64le", settings())));
  for (const auto& file : std::filesystem::recursive_directory_iterator(dir_ / "cache")) {
    EXPECT_NE(file.path().filename(), left) << file.path();
  }
}

TEST_F(Mirror, DamagedControlFilesAreAMiss) {
  const auto first = unwrap(build("ppc64le", settings()));
  for (const auto& control : std::filesystem::directory_iterator(dir_ / "cache/control")) {
    const std::string name = "cache/control/" + control.path().filename().string();
    corrupt(name, dir_.read(name).find("Description: test") + 14);
  }
  const auto again = unwrap(build("ppc64le", settings()));
  EXPECT_EQ(text_of(again.back().tree, "var/lib/dpkg/status"),
            text_of(first.back().tree, "var/lib/dpkg/status"));
}

TEST_F(Mirror, DamagedPackageInTheCacheIsDownloadedAgain) {
  static_cast<void>(unwrap(build("ppc64le", settings())));
  std::filesystem::remove_all(dir_ / "cache/packs");
  for (const auto& deb : std::filesystem::directory_iterator(dir_ / "cache/debs")) {
    corrupt("cache/debs/" + deb.path().filename().string(), deb.file_size() / 2);
  }
  DebianSettings offline = settings();
  offline.offline = true;
  const auto refused = build("ppc64le", offline);
  EXPECT_THAT(refused, fails_with(ErrorCode::verification, HasSubstr("is damaged")));
  EXPECT_THAT(refused.error().hint(),
              ::testing::MatchesRegex("remove .*/cache/debs/.*, or build without --offline"));
  const auto again = unwrap(build("ppc64le", settings()));
  EXPECT_EQ(text_of(again[2].tree, "usr/bin/tool"), "power");
  std::filesystem::remove_all(dir_ / "cache/packs");
  EXPECT_THAT(build("ppc64le", offline), is_ok());
}

TEST_F(Mirror, RefusesWhatIsNoPackage) {
  const std::string bytes = "this is no archive";
  dir_.write("mirror/pool/broken.deb", bytes);
  packages_["amd64"] += fmt::format(
      "Package: broken\nVersion: 1\nArchitecture: amd64\nFilename: pool/broken.deb\nSize: "
      "{}\nSHA256: {}\n\n",
      bytes.size(), manifest::Digest::of(bytes).hex());
  publish();
  const auto archive = unwrap(open(settings()));
  const auto set = unwrap(
      archive->resolve({.packages = {"broken"}}, unwrap(manifest::Platform::parse("amd64"))));
  EXPECT_THAT(assemble(set, settings()),
              fails_with(ErrorCode::invalid_input, HasSubstr("package broken 1")));
}

TEST_F(Mirror, NamesWhatIsMissing) {
  DebianSettings unknown = settings();
  unknown.release = "nosuch";
  EXPECT_THAT(open(unknown), fails_with(ErrorCode::not_found, HasSubstr("nosuch")));
  const auto archive = unwrap(open(settings()));
  const auto package =
      archive->resolve({.packages = {"tol"}}, unwrap(manifest::Platform::parse("amd64")));
  EXPECT_THAT(package, fails_with(ErrorCode::not_found, HasSubstr("tol")));
  EXPECT_THAT(package.error().hint(), HasSubstr("tool"));
  EXPECT_THAT(archive->resolve({.packages = {"tool"}}, unwrap(manifest::Platform::parse("arm64"))),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("amd64, ppc64el")));
}

}  // namespace
}  // namespace fnimage::source
