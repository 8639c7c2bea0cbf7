// The real archive: apt itself is the oracle of the resolver, readelf that of the layout. Uses the
// mirror that the host's apt uses, and skips with the reason when it cannot be reached. Suites of
// one mirror may be stale for rare architectures, so both sides use the release and its updates
// only.
#include <algorithm>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fnimage/base/text.hpp>
#include <fnimage/elf/loader_cache.hpp>
#include <fnimage/source/debian.hpp>
#include <fnimage/source/package_pool.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

#include "debian/apt_sources.hpp"
#include "debian/deb822.hpp"
#include "debian/process.hpp"

namespace fnimage::source {
namespace {

using debian::run_program;
using test::unwrap;

const std::vector<std::string> suites{"updates"};

std::string host_release() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VERSION_CODENAME=")) {
      return line.substr(17);
    }
  }
  return {};
}

class Network : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    settings_ = {.release = host_release(), .suites = suites, .cache_directory = cache_directory()};
    transport_ =
        unwrap(registry::make_curl_transport({.connect_timeout = std::chrono::seconds(5)}));
    auto archive = DebianArchive::open(settings_, transport_, pool_, null_diagnostics());
    if (!archive) {
      GTEST_SKIP() << "no Debian mirror: " << archive.error().describe();
    }
    archive_ = std::move(*archive);
    platform_ = unwrap(manifest::Platform::parse(GetParam()));
    architecture_ = std::string(*manifest::debian_architecture(platform_));
  }

  // Kept over runs when the environment says where, so that repeated runs do not download again.
  std::filesystem::path cache_directory() const {
    const char* kept = std::getenv("FNIMAGE_TEST_DEBIAN_CACHE");  // NOLINT(concurrency-mt-unsafe)
    return kept != nullptr ? std::filesystem::path(kept) : dir_ / "cache";
  }

  std::vector<std::string> apt(std::vector<std::string> arguments) const {
    const std::string root = (dir_ / "apt").string();
    std::vector<std::string> command{
        "apt-get", "-oDir::State::lists=" + root + "/lists",
        "-oDir::State::status=" + root + "/status", "-oDir::Cache=" + root + "/cache",
        "-oDir::Etc::sourcelist=" + root + "/sources.list", "-oDir::Etc::sourceparts=/dev/null",
        // This machine may be configured to do without: slow each time.
        "-oDir::Cache::pkgcache=pkgcache.bin", "-oDir::Cache::srcpkgcache=srcpkgcache.bin",
        "-oAPT::Architecture=" + architecture_, "-oAPT::Architectures=" + architecture_};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }

  bool prepare_apt() const {
    std::string list;
    for (const auto& source : unwrap(debian::choose_sources(settings_))) {
      list += fmt::format("deb [signed-by={}] {} {} {}\n", join(source.signed_by, ","), source.uri,
                          source.suite, join(source.components, " "));
    }
    dir_.write("apt/sources.list", list);
    dir_.write("apt/status", "");
    std::filesystem::create_directories(dir_ / "apt/lists/partial");
    std::filesystem::create_directories(dir_ / "apt/cache/archives/partial");
    const auto updated = run_program(apt({"update"}));
    return updated && updated->exit_code == 0;
  }

  std::set<std::string> apt_chooses(const std::vector<std::string>& packages,
                                    bool recommends) const {
    // Addresses alone: a simulated installation takes apt three times as long.
    std::vector<std::string> arguments{
        "-qq",
        "-y",
        "--print-uris",
        "install",
        "base-files",
        "base-passwd",
        recommends ? "--install-recommends" : "--no-install-recommends"};
    arguments.insert(arguments.end(), packages.begin(), packages.end());
    std::set<std::string> chosen;
    const auto output = unwrap(run_program(apt(arguments)));
    for (const std::string_view line : split(output.standard_output, '\n')) {
      const auto parts = debian::words(line);
      if (parts.size() < 3 || !parts[0].starts_with('\'')) {
        continue;
      }
      const auto name = split(parts[1], '_');  // name_version_architecture.deb
      std::string version(name.at(1));
      if (const std::size_t colon = version.find("%3a"); colon != std::string::npos) {
        version.replace(colon, 3, ":");
      }
      chosen.insert(fmt::format("{}={}", name.at(0), version));
    }
    return chosen;
  }

  /// What the first has and the second has not.
  static std::string difference(const std::set<std::string>& one,
                                const std::set<std::string>& other) {
    std::vector<std::string> names;
    std::set_difference(one.begin(), one.end(), other.begin(), other.end(),
                        std::back_inserter(names));
    return join(names, " ");
  }

  void compare_with_apt(const std::vector<std::string>& packages, bool recommends) const {
    const PackageSet set =
        unwrap(archive_->resolve({.packages = packages, .recommends = recommends}, platform_));
    std::set<std::string> ours;
    for (const DebianPackage& package : set.packages) {
      ours.insert(package.name + "=" + package.version);
    }
    const std::set<std::string> apts = apt_chooses(packages, recommends);
    EXPECT_EQ(difference(ours, apts), "") << join(packages, " ");
    EXPECT_EQ(difference(apts, ours), "") << join(packages, " ");
  }

  std::vector<NamedTree> assemble(const PackageSet& set) {
    return unwrap(unwrap(PackagePool::open(settings_, transport_, null_diagnostics()))
                      ->assemble(set, {.max_mtime = 1'600'000'000}))
        .trees;
  }

  test::TempDir dir_;
  DebianSettings settings_;
  std::shared_ptr<registry::Transport> transport_;
  WorkerPool pool_;
  std::unique_ptr<DebianArchive> archive_;
  manifest::Platform platform_;
  std::string architecture_;
};

TEST_P(Network, ResolvesAsAptDoes) {
  if (!prepare_apt()) {
    GTEST_SKIP() << "apt-get update failed for " << architecture_;
  }
  const std::vector<std::vector<std::string>> requests{
      {"python3-minimal"},
      {"python3-numpy"},
      {"python3-sklearn"},
      {"python3-sklearn", "python3-h5py", "python3-ipykernel", "python3-nbclient", "python3-pandas",
       "ca-certificates"},
      {"nodejs", "python3-flask", "gunicorn", "default-mta"},
      {"bash", "coreutils", "curl"},
      {"python3-torch"},
      {"python3-matplotlib", "python3-statsmodels"},
      {"python3-skimage", "python3-xgboost"},
      {"jupyter-notebook"},
      {"r-base-core"},
      {"openjdk-17-jre-headless"},
      {"postgresql-client", "python3-psycopg2"},
      {"build-essential"},
      {"gcc", "g++", "gfortran", "cmake"},
      {"perl", "libdbd-pg-perl"},
      {"ruby", "ruby-json"},
      {"php-cli", "php-curl"},
      {"golang-go"},
      {"git", "openssh-client", "rsync"},
      {"ffmpeg"},
      {"imagemagick", "ghostscript"},
      {"systemd", "dbus"},
      {"texlive-base"},
      {"octave"}};
  for (const auto& packages : requests) {
    compare_with_apt(packages, false);
  }
  // Where what is recommended leaves a choice (a terminal emulator, say) apt may choose otherwise.
  compare_with_apt({"python3-numpy"}, true);
  compare_with_apt({"jupyter-notebook"}, true);
}

struct Needs {
  std::vector<std::string> libraries{};
  bool beside_itself = false;  ///< RUNPATH $ORIGIN
};

// What an ELF file needs; nothing for other files.
Needs needed_libraries(const layer::Entry& entry, const std::filesystem::path& scratch) {
  const std::string bytes =
      unwrap(read_all(*unwrap(entry.content->open()), std::uint64_t{1} << 30));
  Needs needs;
  if (!bytes.starts_with("\177ELF")) {
    return needs;
  }
  std::ofstream(scratch, std::ios::binary) << bytes;
  const std::vector<std::string> command{"readelf", "-d", scratch.string()};
  const auto output = unwrap(run_program(command));
  needs.beside_itself = output.standard_output.find("[$ORIGIN]") != std::string::npos;
  for (const std::string_view line : split(output.standard_output, '\n')) {
    const std::size_t open = line.find('[');
    if (line.find("(NEEDED)") != std::string_view::npos && open != std::string_view::npos) {
      needs.libraries.emplace_back(line.substr(open + 1, line.find(']') - open - 1));
    }
  }
  return needs;
}

TEST_P(Network, EveryNeededLibraryOfNumpyIsThere) {
  const std::vector<std::string> readelf{"readelf", "--version"};
  if (!run_program(readelf)) {
    GTEST_SKIP() << "readelf is not installed";
  }
  const PackageSet set = unwrap(archive_->resolve({.packages = {"python3-numpy"}}, platform_));
  layer::FileTree tree;  // the layers as one
  for (const NamedTree& part : assemble(set)) {
    for (const auto& [path, entry] : part.tree.entries()) {
      ASSERT_THAT(tree.add(entry), test::is_ok()) << path;
    }
  }
  const std::string triplet(*manifest::multiarch_triplet(platform_));
  std::size_t checked = 0;
  for (const auto& [path, entry] : tree.entries()) {
    const bool is_program = path.find(".so") != std::string::npos || path.starts_with("usr/bin/");
    if (entry.type != layer::EntryType::file || entry.content == nullptr || !is_program) {
      continue;
    }
    const Needs needs = needed_libraries(entry, dir_ / "scratch");
    for (const std::string& library : needs.libraries) {
      ++checked;
      const layer::Entry* found = tree.resolve(fmt::format("usr/lib/{}/{}", triplet, library));
      found = found != nullptr ? found : tree.resolve("usr/lib64/" + library);
      if (found == nullptr && needs.beside_itself) {
        found = tree.resolve(path.substr(0, path.rfind('/') + 1) + library);
      }
      EXPECT_NE(found, nullptr) << path << " needs " << library;
    }
  }
  EXPECT_GT(checked, 50U);
}

/// The layer of that name; empty when there is none.
layer::FileTree layer_named(std::vector<NamedTree>& trees, std::string_view name) {
  for (NamedTree& one : trees) {
    if (one.name == name) {
      return std::move(one.tree);
    }
  }
  return {};
}

// Whichever platform is built, this machine's Python compiles, and the platforms have one layer.
TEST_P(Network, ByteCodeIsMadeOnceForAllArchitectures) {
  const manifest::Platform host = manifest::host_platform();
  if (!manifest::debian_architecture(host)) {
    GTEST_SKIP() << "Debian has no packages for this machine";
  }
  const PackageRequest request{.packages = {"python3-minimal", "python3-six"}};
  const auto pool = unwrap(PackagePool::open(settings_, transport_, null_diagnostics()));
  const auto build = [&](const manifest::Platform& platform) {
    return unwrap(
        pool->assemble(unwrap(archive_->resolve(request, platform)),
                       {.max_mtime = 1'600'000'000,
                        .runtime_packages = {"python3-minimal"},
                        .host_packages = [&](const std::string& name, const std::string&) {
                          return archive_->resolve({.packages = {name}}, host);
                        }}));
  };
  auto trees = build(platform_).trees;
  auto others = build(host).trees;
  const layer::FileTree standard = layer_named(trees, "interpreter-bytecode");
  const layer::FileTree packages = layer_named(trees, "packages-bytecode");
  EXPECT_EQ(standard.key(), layer_named(others, "interpreter-bytecode").key());
  EXPECT_EQ(packages.key(), layer_named(others, "packages-bytecode").key());
  // A part of the cache that is gone or cut is made anew.
  for (const auto& pack :
       std::filesystem::directory_iterator(settings_.cache_directory / "packs")) {
    if (pack.path().filename().string().ends_with("-bytecode.pack")) {
      std::filesystem::resize_file(pack, 1);
    }
  }
  auto again = build(platform_).trees;
  EXPECT_EQ(standard.key(), layer_named(again, "interpreter-bytecode").key());
  std::size_t modules = 0;
  for (const auto& [path, entry] : standard.entries()) {
    modules += path.ends_with(".pyc") ? 1U : 0U;
    EXPECT_EQ(path.find(".py") == std::string::npos || path.ends_with(".pyc"), true) << path;
  }
  EXPECT_GT(modules, 100U);
  const layer::Entry* six = nullptr;
  for (const auto& [path, entry] : packages.entries()) {
    six =
        path.starts_with("usr/lib/python3/dist-packages/__pycache__/six.cpython-3") ? &entry : six;
  }
  ASSERT_NE(six, nullptr);
  const std::string code = unwrap(read_all(*unwrap(six->content->open()), 1U << 20U));
  EXPECT_EQ(code.substr(2, 2), "\r\n");
  EXPECT_EQ(code.substr(4, 4), std::string("\1\0\0\0", 4)) << "hash-based, unchecked (PEP 552)";
  EXPECT_NE(code.find("/usr/lib/python3/dist-packages/six.py"), std::string::npos)
      << "the path that tracebacks show";
}

// What ldconfig looks at, as a root directory of its own.
void lay_down(const layer::FileTree& tree, const std::filesystem::path& root) {
  for (const auto& [path, entry] : tree.entries()) {
    if (!path.starts_with("lib") && !path.starts_with("usr/lib") && !path.starts_with("etc")) {
      continue;
    }
    const std::filesystem::path target = root / path;
    std::filesystem::create_directories(target.parent_path());
    if (entry.type == layer::EntryType::symlink) {
      std::filesystem::create_symlink(entry.link, target);
    } else if (entry.type == layer::EntryType::directory) {
      std::filesystem::create_directories(target);
    } else if (entry.type == layer::EntryType::file && path.find(".so") != std::string::npos &&
               entry.content != nullptr) {
      std::ofstream(target, std::ios::binary)
          << unwrap(read_all(*unwrap(entry.content->open()), std::uint64_t{1} << 30));
    }
  }
}

TEST_P(Network, TheLoadersCacheIsWhatLdconfigWrites) {
  const PackageSet set =
      unwrap(archive_->resolve({.packages = {"libc-bin", "python3-numpy"}}, platform_));
  const std::filesystem::path root = dir_ / "root";
  for (const NamedTree& part : assemble(set)) {
    lay_down(part.tree, root);
  }
  const auto ours = unwrap(elf::parse_loader_cache(dir_.read("root/etc/ld.so.cache"), "ours"));
  EXPECT_GE(ours.size(), 50U);
  for (const char* name : {"libc.so.6", "libblas.so.3", "liblapack.so.3", "libz.so.1"}) {
    EXPECT_TRUE(std::any_of(ours.begin(), ours.end(), [&](const elf::CachedLibrary& library) {
      return library.name == name;
    })) << name;
  }
  if (platform_ != manifest::host_platform()) {
    return;  // no ldconfig here reads these libraries
  }
  const std::vector<std::string> command{"/sbin/ldconfig", "-r", root.string()};
  const auto output = run_program(command);
  if (!output || output->exit_code != 0) {
    GTEST_SKIP() << "ldconfig does not work here: "
                 << (output ? output->standard_error : output.error().describe());
  }
  const auto theirs = unwrap(elf::parse_loader_cache(dir_.read("root/etc/ld.so.cache"), "theirs"));
  EXPECT_TRUE(ours == theirs) << ours.size() << " libraries, ldconfig has " << theirs.size();
}

TEST_P(Network, EverythingThatScriptsOfDataScienceDoIsDone) {
  const PackageSet set = unwrap(
      archive_->resolve({.packages = {"base-files", "base-passwd", "bash", "ca-certificates",
                                      "python3-sklearn", "python3-h5py", "python3-ipykernel",
                                      "python3-nbclient", "python3-pandas", "python3-matplotlib"}},
                        platform_));
  const Assembly assembly = unwrap(
      unwrap(PackagePool::open(settings_, transport_, null_diagnostics()))->assemble(set, {}));
  for (const UncoveredScript& script : assembly.uncovered) {
    ADD_FAILURE() << script.package << ": " << join(script.commands, "; ");
  }
}

INSTANTIATE_TEST_SUITE_P(Debian, Network, ::testing::Values("amd64", "ppc64le", "arm64"),
                         [](const auto& architecture) { return architecture.param; });

}  // namespace
}  // namespace fnimage::source
