// The pipeline: what is built, what is shared and cached, and that equal input gives equal bytes.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>
#include <set>

#include <sys/resource.h>

#include <fnimage/registry/oci_layout.hpp>
#include <fnimage/test/sanitized.hpp>

#include "build_fixture.hpp"

namespace fnimage::build {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

std::vector<std::string> names(const BuiltPlatform& platform) {
  std::vector<std::string> result;
  for (const BuiltLayer& layer : platform.layers) {
    result.push_back(layer.name);
  }
  return result;
}

TEST(Build, MakesOneListForAllPlatforms) {
  const test::TempDir project;
  World world;
  const BuildResult result = unwrap(world.build(scratch_spec(project)));
  ASSERT_THAT(result.platforms, SizeIs(2));
  for (const BuiltPlatform& built : result.platforms) {
    EXPECT_THAT(names(built), ElementsAre("source", "files", "model"));
    const manifest::ImageConfig config = world.config(built);
    EXPECT_EQ(config.platform, built.platform);
    EXPECT_EQ(config.created, "1970-01-01T00:00:00Z");
    EXPECT_EQ(config.env_value("OMP_NUM_THREADS"), "2");
    EXPECT_TRUE(config.env_value("PATH").has_value());
    EXPECT_THAT(config.cmd, ElementsAre("/usr/local/bin/solver"));
    EXPECT_EQ(config.diff_ids.size(), built.layers.size());
    EXPECT_EQ(config.history.front().created_by, "fnimage: source");
    for (const BuiltLayer& layer : built.layers) {
      EXPECT_TRUE(unwrap(world.store->has_blob(layer.descriptor)));
    }
  }
  const manifest::Document document = unwrap(world.store->get_manifest(std::string("demo:latest")));
  EXPECT_EQ(document.digest(), result.list.digest);
  const manifest::Index list = unwrap(document.index());
  ASSERT_THAT(list.manifests, SizeIs(2));
  EXPECT_EQ(list.manifests[0].platform, platform("linux/amd64"));
  EXPECT_EQ(list.manifests[1].platform, platform("linux/ppc64le"));
  EXPECT_THAT(list.annotations, ElementsAre(Pair("org.example.team", "a")));
}

TEST(Build, SharesWhatDoesNotDependOnThePlatform) {
  const test::TempDir project;
  World world;
  const BuildResult result = unwrap(world.build(scratch_spec(project)));
  const auto& a = result.platforms[0].layers;
  const auto& b = result.platforms[1].layers;
  EXPECT_EQ(a[0].descriptor, b[0].descriptor);
  EXPECT_NE(a[1].descriptor, b[1].descriptor);
  EXPECT_EQ(a[2].descriptor, b[2].descriptor);
}

TEST(Build, NothingChangedCostsNoLayerWork) {
  const test::TempDir project;
  World world;
  const BuildSpec spec = scratch_spec(project);
  const BuildResult first = unwrap(world.build(spec));
  const BuildResult second = unwrap(world.build(spec));
  EXPECT_EQ(first.list, second.list);
  for (const BuiltPlatform& built : second.platforms) {
    EXPECT_THAT(built.layers, Each(Field(&BuiltLayer::cached, true)));
  }
  project.write("handler.py", "def main(args):\n    return {}\n");
  const BuildResult third = unwrap(world.build(spec));
  EXPECT_FALSE(third.platforms[0].layers[0].cached);
  EXPECT_TRUE(third.platforms[0].layers[1].cached);
  EXPECT_TRUE(third.platforms[0].layers[2].cached);
}

TEST(Build, NewLayersAreHandedOnOnce) {
  const test::TempDir project;
  World world;
  const BuildSpec spec = scratch_spec(project);
  std::mutex mutex;
  std::set<manifest::Digest> seen;
  const BuildOptions options{
      .on_new_layer = [&](const manifest::Descriptor& layer, const ContentPtr& content) {
        EXPECT_EQ(content->size(), layer.size);
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(seen.insert(layer.digest).second);
      }};
  const BuildResult built = unwrap(world.build(spec, options));
  std::set<manifest::Digest> layers;
  for (const BuiltPlatform& platform : built.platforms) {
    for (const BuiltLayer& layer : platform.layers) {
      layers.insert(layer.descriptor.digest);
    }
  }
  EXPECT_EQ(seen, layers);
  EXPECT_THAT(world.build(spec, options), is_ok());  // would be seen twice
}

TEST(Build, MainFileOfExecIsExecutable) {
  const test::TempDir project;
  project.write("run", "#!/bin/sh\n");
  World world;
  BuildSpec spec = scratch_spec(project);
  spec.base = ImageBase{.location = "base:1"};
  spec.runtime = "exec";
  spec.main = "run";
  const auto built = world.build(spec);
  EXPECT_THAT(built, fails_with(ErrorCode::invalid_input, HasSubstr("run is not executable")));
  EXPECT_THAT(built.error().hint(), HasSubstr("chmod 755 run"));
}

TEST(Build, SameBytesFromOtherDirectoryTimeAndThreads) {
  const test::TempDir first;
  const test::TempDir second;
  World one(1);
  World four(4);
  const BuildSpec spec = scratch_spec(second);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(second.path())) {
    std::filesystem::last_write_time(
        entry, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1000));
  }
  for (const auto compression :
       {layer::Compression::none, layer::Compression::gzip, layer::Compression::zstd}) {
    const BuildOptions options{.compression = compression};
    EXPECT_EQ(unwrap(one.build(scratch_spec(first), options)).list,
              unwrap(four.build(spec, options)).list);
  }
}

TEST(Build, BytesAreTheSameForever) {
  // Uncompressed, so that only fnimage's own formats are in it: tar, config, manifest, list.
  const test::TempDir project;
  World world;
  const BuildResult result =
      unwrap(world.build(scratch_spec(project), {.compression = layer::Compression::none}));
  EXPECT_EQ(result.list.digest.str(),
            "sha256:26853eea8333534233448039452c25a08df0c0c15aceea79979780c931d551c5");
}

/// A project for better hardware.
BuildSpec demanding_spec(const test::TempDir& project) {
  BuildSpec spec = scratch_spec(project);
  spec.requirements.common.cpu_millis = 4000;
  spec.requirements.cpu_levels = {{"amd64", "v3"}};
  spec.requirements.cpu_features = {{"ppc64le", {"MMA"}}};
  spec.variants = {"gpu", "avx512"};
  return spec;
}

TEST(Build, WritesWhatEachPlatformRequires) {
  const test::TempDir project;
  World world;
  const BuildResult result = unwrap(world.build(demanding_spec(project)));
  const manifest::Index list =
      unwrap(unwrap(world.store->get_manifest(result.list.digest)).index());
  EXPECT_THAT(list.annotations, Contains(Pair("io.fnimage.variants", "gpu,avx512")));
  const std::vector<std::string> needs{R"({"cpu":"4","cpu-level":"v3"})",
                                       R"({"cpu":"4","cpu-features":["MMA"]})"};
  for (std::size_t i = 0; i < needs.size(); ++i) {
    EXPECT_THAT(list.manifests[i].annotations, ElementsAre(Pair("io.fnimage.requires", needs[i])));
    EXPECT_THAT(world.image(result.platforms[i]).annotations,
                Contains(Pair("io.fnimage.requires", needs[i])));
  }
  // A platform that needs nothing says nothing.
  BuildSpec spec = demanding_spec(project);
  spec.requirements = {.cpu_levels = {{"amd64", "v3"}}};
  const BuildResult half = unwrap(world.build(spec));
  EXPECT_THAT(half.platforms[1].manifest.annotations, IsEmpty());
  EXPECT_THAT(world.image(half.platforms[1]).annotations,
              Not(Contains(Pair("io.fnimage.requires", ::testing::_))));
}

TEST(Build, DockerFormatCannotSayWhatIsRequired) {
  class Heard final : public Diagnostics {
   public:
    void report(Severity, std::string_view message) noexcept override {
      text += std::string(message) + "\n";
    }
    std::unique_ptr<ProgressTask> begin(std::string_view label,
                                        std::uint64_t total) noexcept override {
      return null_diagnostics().begin(label, total);
    }
    std::string text;
  };
  const test::TempDir project;
  World world;
  Heard heard;
  world.diagnostics = &heard;
  const BuildOptions docker{.format = manifest::Format::docker};
  unwrap(world.build(scratch_spec(project), docker));
  EXPECT_THAT(heard.text, Not(HasSubstr("requires")));
  const BuildResult result = unwrap(world.build(demanding_spec(project), docker));
  EXPECT_THAT(heard.text, HasSubstr("what the function requires and what its variants are"));
  EXPECT_THAT(world.image(result.platforms[0]).annotations, IsEmpty());
}

TEST(Build, HonoursSourceDateEpoch) {
  const test::TempDir project;
  World world;
  const BuildSpec spec = scratch_spec(project);
  const BuildResult timeless = unwrap(world.build(spec));
  const BuildResult dated = unwrap(world.build(spec, {.source_date_epoch = 1'700'000'000}));
  EXPECT_EQ(world.config(dated.platforms[0]).created, "2023-11-14T22:13:20Z");
  EXPECT_NE(timeless.platforms[0].layers[0].descriptor, dated.platforms[0].layers[0].descriptor);
}

TEST(Build, PlatformsOfTheOptionsWin) {
  const test::TempDir project;
  World world;
  const BuildResult result =
      unwrap(world.build(scratch_spec(project), {.platforms = {platform("linux/ppc64le")}}));
  ASSERT_THAT(result.platforms, SizeIs(1));
  EXPECT_EQ(unwrap(unwrap(world.store->get_manifest(result.list.digest)).index()).manifests.size(),
            1U);
}

TEST(Build, DockerFormatConvertsTheWholeTree) {
  const test::TempDir project;
  World world;
  const BuildResult result =
      unwrap(world.build(scratch_spec(project), {.format = manifest::Format::docker}));
  EXPECT_EQ(result.list.media_type, manifest::media_type::docker_list);
  const manifest::ImageManifest image = world.image(result.platforms[0]);
  EXPECT_EQ(image.config.media_type, manifest::media_type::docker_config);
  EXPECT_THAT(image.layers, Each(Field(&manifest::Descriptor::media_type,
                                       std::string(manifest::media_type::docker_layer_gzip))));
}

TEST(Build, BadInputIsRefusedAndMovesNoTag) {
  const test::TempDir project;
  World world;
  const BuildSpec good = scratch_spec(project);

  BuildSpec spec = good;
  spec.packages = {"python3-numpy"};
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::invalid_input, HasSubstr("packages")));
  spec = good;
  spec.runtime = "python";
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::invalid_input, HasSubstr("empty base")));
  spec = good;
  spec.platforms.clear();
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::invalid_argument, HasSubstr("no platform")));
  spec = good;
  spec.platforms.push_back(platform("linux/x86_64"));
  EXPECT_THAT(world.build(spec),
              fails_with(ErrorCode::invalid_argument, HasSubstr("linux/amd64 is asked for twice")));
  spec = good;
  spec.main = "handlr.py";
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::not_found, HasSubstr("handlr.py")));
  spec = good;
  spec.platforms.push_back(platform("linux/s390x"));
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::not_found, HasSubstr("s390x/solver")));
  spec = good;
  spec.platform_files[0].to = "/opt/{cpu}";
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::invalid_input, HasSubstr("{cpu}")));
  spec = good;
  spec.runtime = "notebook";
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::invalid_argument, HasSubstr("notebook")));
  EXPECT_THAT(unwrap(world.store->tags()), IsEmpty());
}

/// A base image for amd64 and ppc64le in the local store, under "base:1".
manifest::Digest put_base(const std::filesystem::path& directory) {
  const auto store =
      unwrap(registry::OciLayout::open(directory, registry::OciLayout::Mode::create));
  manifest::Index list;
  for (const std::string_view name : {"linux/amd64", "linux/ppc64le"}) {
    const std::string tar = "base of " + std::string(name);
    const manifest::Descriptor layer{.media_type = std::string(manifest::media_type::oci_layer),
                                     .digest = manifest::Digest::of(tar),
                                     .size = tar.size()};
    unwrap(store->put_blob(layer, *memory_content(tar), {}));
    manifest::ImageConfig config;
    config.platform = platform(name);
    config.env = {"PATH=/base/bin", "LANG=C.UTF-8"};
    config.entrypoint = {"/base/init"};
    config.cmd = {"--base"};
    config.user = "7";
    config.diff_ids = {layer.digest};
    const std::string bytes = manifest::emit(config);
    const manifest::Descriptor config_blob{
        .media_type = std::string(manifest::media_type::oci_config),
        .digest = manifest::Digest::of(bytes),
        .size = bytes.size()};
    unwrap(store->put_blob(config_blob, *memory_content(bytes), {}));
    const auto document =
        manifest::Document::of(manifest::ImageManifest{.config = config_blob, .layers = {layer}});
    unwrap(store->put_manifest(document, std::nullopt));
    manifest::Descriptor entry = document.descriptor();
    entry.platform = config.platform;
    list.put(entry);
  }
  const auto document = manifest::Document::of(list);
  unwrap(store->put_manifest(document, "base:1"));
  return document.digest();
}

TEST(BuildOnImage, AddsLayersToEachPlatformsBase) {
  const test::TempDir project;
  World world;
  const manifest::Digest base = put_base(world.directory / "store");
  BuildSpec spec = scratch_spec(project);
  spec.base = ImageBase{.location = "base:1"};
  spec.runtime = "python";
  spec.config.cmd.clear();
  const BuildResult result = unwrap(world.build(spec));
  const manifest::ImageConfig config = world.config(result.platforms[1]);
  EXPECT_EQ(config.env_value("PATH"), "/base/bin");
  EXPECT_EQ(config.env_value("LANG"), "C.UTF-8");
  EXPECT_EQ(config.env_value("FNIMAGE_ACTION_MAIN"), "/action/handler.py");
  EXPECT_THAT(config.entrypoint, ElementsAre("python3", "/usr/lib/fnimage/python_action.py"));
  EXPECT_THAT(config.cmd, IsEmpty());
  EXPECT_EQ(config.user, "7");
  EXPECT_EQ(config.working_dir, "/action");
  EXPECT_THAT(config.exposed_ports, ElementsAre("8080/tcp"));
  EXPECT_THAT(names(result.platforms[1]), ElementsAre("runtime", "source", "files", "model"));
  EXPECT_EQ(config.history.size(), 5U);
  const manifest::ImageManifest image = world.image(result.platforms[1]);
  ASSERT_THAT(image.layers, SizeIs(5));
  EXPECT_EQ(image.layers[0].digest, manifest::Digest::of("base of linux/ppc64le"));
  EXPECT_TRUE(unwrap(world.store->has_blob(image.layers[0])));
  const auto list = unwrap(unwrap(world.store->get_manifest(result.list.digest)).index());
  EXPECT_THAT(list.annotations,
              Contains(Pair(std::string(manifest::annotation::base_digest), base.str())));
}

TEST(BuildOnImage, MissingPlatformIsAnError) {
  const test::TempDir project;
  World world;
  put_base(world.directory / "store");
  BuildSpec spec = scratch_spec(project);
  spec.base = ImageBase{.location = "base:1"};
  spec.platform_files.clear();
  spec.platforms.push_back(platform("linux/arm64"));
  EXPECT_THAT(world.build(spec),
              fails_with(ErrorCode::platform_mismatch,
                         AllOf(HasSubstr("linux/arm64"), HasSubstr("linux/ppc64le"))));
  EXPECT_THAT(unwrap(world.store->tags()), IsEmpty());
}

TEST(BuildOnImage, RefusesPathsThatMayHideLinks) {
  const test::TempDir project;
  World world;
  put_base(world.directory / "store");
  BuildSpec spec = scratch_spec(project);
  spec.base = ImageBase{.location = "base:1"};
  spec.platform_files[0].to = "/bin/solver";
  const auto result = world.build(spec);
  ASSERT_THAT(result, fails_with(ErrorCode::unsupported, HasSubstr("/bin")));
  EXPECT_EQ(result.error().hint(), "write /usr/bin instead");
}

TEST(BuildOnImage, RegistryBaseIsNotForOfflineBuilds) {
  const test::TempDir project;
  World world;
  BuildSpec spec = scratch_spec(project);
  spec.base = ImageBase{.location = "registry.example/base:1"};
  EXPECT_THAT(world.build(spec, {.offline = true}),
              fails_with(ErrorCode::invalid_argument, HasSubstr("offline")));
}

/// Keeps what is reported.
class Reports final : public Diagnostics {
 public:
  void report(Severity /*severity*/, std::string_view message) noexcept override {
    text += std::string(message) + "\n";
  }
  std::unique_ptr<ProgressTask> begin(std::string_view what,
                                      std::uint64_t total) noexcept override {
    return null_diagnostics().begin(what, total);
  }
  std::string text;
};

TEST(Build, WarnsOfWhatOnlySomeNodesTake) {
  const test::TempDir project;
  World world;
  BuildSpec spec = scratch_spec(project);
  spec.platforms = {platform("linux/amd64/v3")};
  Reports reports;
  world.diagnostics = &reports;
  EXPECT_THAT(world.build(spec), is_ok());
  EXPECT_THAT(reports.text, HasSubstr("most nodes do not look for a variant of amd64"));
  spec.platforms = {platform("linux/ppc64le/power9")};
  EXPECT_THAT(world.build(spec),
              fails_with(ErrorCode::invalid_argument, HasSubstr("linux/ppc64le/power9")));
}

TEST(Build, NamesTheLineOfAFileThatAPlatformLacks) {
  const test::TempDir project;
  World world;
  BuildSpec spec = scratch_spec(project);
  spec.platform_files.front().place = "fnimage.yaml:9:12";
  std::filesystem::remove(project / "build/ppc64le/solver");
  EXPECT_THAT(world.build(spec), fails_with(ErrorCode::not_found,
                                            AllOf(HasSubstr("fnimage.yaml:9:12 for linux/ppc64le"),
                                                  HasSubstr("build/ppc64le/solver"))));
  EXPECT_THAT(world.build(spec, {.platforms = {platform("linux/amd64")}}), is_ok());
}

TEST(Build, RefusesWhatItsPlatformCannotRun) {
  const test::TempDir project;
  World world;
  const BuildSpec spec = scratch_spec(project);
  project.write("build/ppc64le/solver", test::ElfFile().bytes());
  EXPECT_THAT(world.build(spec),
              fails_with(ErrorCode::platform_mismatch,
                         AllOf(HasSubstr("linux/ppc64le: /usr/local/bin/solver"),
                               HasSubstr("build/ppc64le/solver"), Not(HasSubstr("linux/amd64")))));
  EXPECT_THAT(unwrap(world.store->tags()), IsEmpty());
  EXPECT_THAT(world.build(spec, {.check = false}), is_ok());
}

TEST(Build, NamesTheBuildFileOfAMissingBase) {
  const test::TempDir project;
  World world;
  BuildSpec spec = scratch_spec(project);
  spec.file = "functions/fnimage.yaml";
  spec.base = ImageBase{"nolocal:x"};
  const auto missing = world.build(spec);
  EXPECT_THAT(missing, fails_with(ErrorCode::not_found, HasSubstr("functions/fnimage.yaml")));
  EXPECT_THAT(missing.error().hint(), Not(IsEmpty()));
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// Bytes that do not compress, the same for the same seed.
std::string noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i + sizeof(std::uint64_t) <= size; i += sizeof(std::uint64_t)) {
    const std::uint64_t value = random();
    std::memcpy(bytes.data() + i, &value, sizeof value);
  }
  return bytes;
}

class MemoryOf : public ::testing::TestWithParam<layer::Compression> {};

TEST_P(MemoryOf, ABuildGrowsNeitherWithLayersNorWithThreads) {
  if (test::sanitized) {
    GTEST_SKIP() << "a sanitizer's own memory would be measured";
  }
  constexpr std::size_t layer_bytes = std::size_t{20} << 20;
  const test::TempDir project;
  BuildSpec spec = scratch_spec(project);
  for (std::uint64_t i = 0; i < 6; ++i) {
    const std::string name = "part" + std::to_string(i);
    project.write(name, noise(layer_bytes, i));
    spec.layers.push_back({.name = name, .from = name, .to = "/parts/" + name});
  }
  World world(16);
  world.store = unwrap(
      registry::OciLayout::open(world.directory / "layout", registry::OciLayout::Mode::create));
  const long before = peak_kib();
  EXPECT_THAT(world.build(spec, {.compression = GetParam()}), is_ok());
  // Where other programs want the processors too, a little more is under way at once; the layers
  // are 120 MiB.
  EXPECT_LT(peak_kib() - before, 80 * 1024);
}

INSTANTIATE_TEST_SUITE_P(All, MemoryOf,
                         ::testing::Values(layer::Compression::gzip, layer::Compression::zstd),
                         [](const auto& value) {
                           return std::string(value.param == layer::Compression::gzip ? "gzip"
                                                                                      : "zstd");
                         });

/// An environment variable for the length of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) {  // NOLINT(concurrency-mt-unsafe)
      old_ = old;
    }
    ::setenv(name, value, 1);  // NOLINT(concurrency-mt-unsafe)
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    } else {
      ::unsetenv(name_);  // NOLINT(concurrency-mt-unsafe)
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(BuildEnvironment, SourceDateEpochIsANumberOfSeconds) {
  for (const char* bad : {"yesterday", "12x", "-1", "1e9", "99999999999999999999"}) {
    const Variable variable("SOURCE_DATE_EPOCH", bad);
    EXPECT_THAT(source_date_epoch_from_environment(), fails_with(ErrorCode::invalid_argument));
  }
  const Variable variable("SOURCE_DATE_EPOCH", "1700000000");
  EXPECT_EQ(unwrap(source_date_epoch_from_environment()), 1'700'000'000);
  const Variable unset("SOURCE_DATE_EPOCH", "");
  EXPECT_EQ(unwrap(source_date_epoch_from_environment()), std::nullopt);
}

TEST(BuildEnvironment, CacheFollowsXdg) {
  const Variable home("HOME", "/home/someone");
  const Variable cache("XDG_CACHE_HOME", "/var/cache/someone");
  EXPECT_EQ(unwrap(default_cache_directory()), "/var/cache/someone/fnimage");
  const Variable relative("XDG_CACHE_HOME", "cache");
  EXPECT_EQ(unwrap(default_cache_directory()), "/home/someone/.cache/fnimage");
  const Variable nowhere("HOME", "");
  EXPECT_THAT(default_cache_directory(), fails_with(ErrorCode::invalid_argument));
}

}  // namespace
}  // namespace fnimage::build
