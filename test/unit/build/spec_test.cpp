#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/build/spec.hpp>
#include <fnimage/test/result_matchers.hpp>
#include <fnimage/test/temp_dir.hpp>

namespace fnimage::build {
namespace {

using test::fails_with;
using test::is_ok;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr std::string_view head = "name: f\nplatforms: [linux/amd64]\nbase: {debian: bookworm}\n";

Result<BuildSpec> parse(std::string_view text) {
  return parse_spec(text, "fnimage.yaml", {});
}
Result<BuildSpec> parse_after_head(std::string_view text) {
  return parse(std::string(head) + std::string(text));
}

TEST(Spec, ReadsEveryKey) {
  const BuildSpec spec = unwrap(parse(R"(
name: digits
platforms: [linux/amd64, linux/ppc64le]
base: {debian: bookworm, mirror: "https://mirror.example/debian",
       suites: [updates], essential: true}
packages: [python3-sklearn, python3-h5py=3.7.0-8]
exclude: {python3-pythran: "build-time only"}
runtime: python
source: {main: digits.py, files: ["lib/**"]}
layers:
  - {name: model, from: model.h5, to: /action/model.h5}
files:
  - {from: "build/{arch}/solver", to: /usr/local/bin/solver, mode: 0755}
  - {from: "data", to: "/usr/lib/{triplet}/data"}
config:
  env: {OMP_NUM_THREADS: 2, ANSWER: no, EMPTY: ""}
  user: 1000:1000
  workdir: /action
  entrypoint: [python3, -u]
  cmd: ["-m", x]
  labels: {a: b}
annotations: {org.opencontainers.image.title: Digits}
)"));
  EXPECT_EQ(spec.name, "digits");
  ASSERT_EQ(spec.platforms.size(), 2U);
  EXPECT_EQ(spec.platforms[1].str(), "linux/ppc64le");
  const auto& debian = std::get<DebianBase>(spec.base);
  EXPECT_EQ(debian.release, "bookworm");
  EXPECT_EQ(debian.mirror, "https://mirror.example/debian");
  EXPECT_THAT(debian.suites, ElementsAre("updates"));
  EXPECT_TRUE(debian.essential);
  EXPECT_THAT(spec.packages, ElementsAre("python3-sklearn", "python3-h5py=3.7.0-8"));
  EXPECT_THAT(spec.exclude, ElementsAre(Pair("python3-pythran", "build-time only")));
  EXPECT_EQ(spec.runtime, "python");
  EXPECT_EQ(spec.main, "digits.py");
  EXPECT_THAT(spec.files, ElementsAre("lib/**"));
  ASSERT_EQ(spec.layers.size(), 1U);
  EXPECT_EQ(spec.layers[0].to, "/action/model.h5");
  ASSERT_EQ(spec.platform_files.size(), 2U);
  EXPECT_EQ(spec.platform_files[0].mode, 0755U);
  EXPECT_EQ(spec.platform_files[1].mode, std::nullopt);
  // Values keep the text they were written with: no octal, no base-60, no booleans.
  EXPECT_THAT(spec.config.env,
              ElementsAre(Pair("ANSWER", "no"), Pair("EMPTY", ""), Pair("OMP_NUM_THREADS", "2")));
  EXPECT_EQ(spec.config.user, "1000:1000");
  EXPECT_EQ(spec.config.workdir, "/action");
  EXPECT_THAT(spec.config.entrypoint, ElementsAre("python3", "-u"));
  EXPECT_THAT(spec.config.cmd, ElementsAre("-m", "x"));
  EXPECT_THAT(spec.config.labels, ElementsAre(Pair("a", "b")));
  EXPECT_THAT(spec.annotations, ElementsAre(Pair("org.opencontainers.image.title", "Digits")));
}

TEST(Spec, ReadsWhatTheFunctionRequires) {
  const BuildSpec spec = unwrap(parse(R"(
name: digits
platforms: [linux/amd64, linux/ppc64le, linux/arm64]
base: {scratch: true}
requires:
  cpu: 4
  memory: 8Gi
  gpu: {vendor: nvidia, count: 2, memory: 16Gi, compute: 7.5}
  tpu: {count: 4, accelerator: tpu-v5-lite-podslice, topology: 2x4}
  cpu-level: {amd64: v3, ppc64le: power9}
  cpu-features: {amd64: [AVX2, FMA3]}
  near: {warehouse: dwh-1, example.com/rack: 7}
  tolerations: [{key: dedicated, value: science, effect: NoSchedule}, {key: spot}]
variants: [gpu, avx512]
)"));
  constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
  const require::Requirements common{
      .cpu_millis = 4000,
      .memory_bytes = 8 * gibibyte,
      .gpu = require::Gpu{.vendor = "nvidia",
                          .count = 2,
                          .memory_bytes = 16 * gibibyte,
                          .compute = require::ComputeCapability{7, 5}},
      .tpu = require::Tpu{.count = 4, .accelerator = "tpu-v5-lite-podslice", .topology = "2x4"},
      .near = {{"warehouse", "dwh-1"}, {"example.com/rack", "7"}},
      .tolerations = {{.key = "dedicated", .value = "science", .effect = "NoSchedule"},
                      {.key = "spot"}}};
  EXPECT_EQ(spec.requirements.common, common);
  require::Requirements expected = common;
  EXPECT_EQ(spec.requirements.of(spec.platforms[2]), expected);
  expected.cpu_level = "power9";
  EXPECT_EQ(spec.requirements.of(spec.platforms[1]), expected);
  expected.cpu_level = "v3";
  expected.cpu_features = {"AVX2", "FMA3"};
  EXPECT_EQ(spec.requirements.of(spec.platforms[0]), expected);
  EXPECT_THAT(spec.variants, ElementsAre("gpu", "avx512"));
  const BuildSpec without = unwrap(parse_after_head(""));
  EXPECT_TRUE(without.requirements.of(spec.platforms[0]).empty());
  EXPECT_THAT(without.variants, IsEmpty());
}

TEST(Spec, ReadsTheOtherBases) {
  const auto image = unwrap(parse("name: f\nplatforms: [ppc64le]\nbase: {image: 'oci:dir:tag'}\n"));
  EXPECT_EQ(std::get<ImageBase>(image.base).location, "oci:dir:tag");
  EXPECT_EQ(image.runtime, "none");
  EXPECT_EQ(image.platforms[0].str(), "linux/ppc64le");
  const auto scratch = unwrap(parse("name: f\nplatforms: [linux/amd64]\nbase: {scratch: true}\n"));
  EXPECT_TRUE(std::holds_alternative<ScratchBase>(scratch.base));
}

struct Broken {
  friend void PrintTo(const Broken& broken,
                      std::ostream* out) {  // NOLINT(readability-identifier-naming)
    *out << broken.name;
  }

  std::string name;
  std::string text;     ///< after `head` unless it begins with '!'
  std::string message;  ///< the beginning, with line and column
  ErrorCode code = ErrorCode::invalid_input;
};

class BrokenSpec : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenSpec, IsRefusedWithItsPlace) {
  const Broken& broken = GetParam();
  const auto result =
      broken.text.starts_with('!') ? parse(broken.text.substr(1)) : parse_after_head(broken.text);
  EXPECT_THAT(result, fails_with(broken.code, StartsWith("fnimage.yaml:" + broken.message)));
}

const std::vector<Broken> broken_specs{
    // YAML itself
    {"Empty", "!", "1:1: the build file is empty"},
    {"CommentOnly", "!# nothing\n", "1:1: the build file is empty"},
    {"TopLevelList", "![a]\n", "1:1: this must be a mapping, not a list"},
    {"TopLevelScalar", "!hello\n", "1:1: this must be a mapping, not a single value"},
    {"BadIndentation", "source:\n   main: a\n  files: []\n", "6:3: not valid YAML"},
    {"UnclosedFlow", "packages: [a, b\n", "5:1: not valid YAML"},
    {"Tab", "source:\n\tmain: a\n", "5:6: not valid YAML"},
    {"DuplicateKey", "name: g\n", "4:1: duplicate key 'name'"},
    {"DuplicateNestedKey", "config: {env: {A: 1, A: 2}}\n", "4:22: duplicate key 'A'"},
    {"Anchor", "packages: &p [vim]\n", "4:11: anchors"},
    {"Alias", "packages: *p\n", "4:11: "},
    {"Tag", "packages: !!set {a}\n", "4:11: tags"},
    {"TagOnScalar", "config: {user: !!str 5}\n", "4:16: tags"},
    {"SecondDocument", "---\nname: g\n", "4:1: a second document begins here"},
    {"ComplexKey", "? [a]\n: b\n", "4:3: a key must be a plain name"},
    {"NullKey", "~: b\n", "4:1: a key must be a plain name"},
    {"TooDeep", "packages: " + std::string(70, '[') + std::string(70, ']') + "\n",
     "4:74: nested deeper than 64 levels"},
    {"ZeroByte", std::string("runtime: no\0ne\n", 15), "4:12: a zero byte"},
    // keys and types
    {"UnknownKey", "packges: [vim]\n", "4:1: unknown key 'packges'; did you mean 'packages'?"},
    {"UnknownKeyFar", "volumes: []\n", "4:1: unknown key 'volumes'"},
    {"UnknownKeyControl", "\"a\\e[2Jb\": 1\n", "4:1: unknown key 'a\\x1b[2Jb'"},
    {"UnknownBaseKey", "!name: f\nplatforms: [linux/amd64]\nbase: {debain: bookworm}\n",
     "3:8: unknown key 'debain'; did you mean 'debian'?"},
    {"UnknownSourceKey", "source: {mian: x}\n", "4:10: unknown key 'mian'; did you mean 'main'?"},
    {"UnknownLayerKey", "layers:\n  - {name: m, form: x, to: /y}\n",
     "5:15: unknown key 'form'; did you mean 'from'?"},
    {"UnknownFileKey", "files:\n  - {from: x, to: /y, moed: 1}\n",
     "5:23: unknown key 'moed'; did you mean 'mode'?"},
    {"UnknownConfigKey", "config: {environment: {}}\n", "4:10: unknown key 'environment'"},
    {"RequiresList", "requires: [gpu]\n", "4:11: 'requires' must be a mapping, not a list"},
    {"RequiresUnknown", "requires: {cpus: 4}\n", "4:12: unknown key 'cpus'; did you mean 'cpu'?"},
    {"RequiresGpuUnknown", "requires: {gpu: {vendor: nvidia, memroy: 1}}\n",
     "4:34: unknown key 'memroy'; did you mean 'memory'?"},
    {"RequiresGpuScalar", "requires: {gpu: nvidia}\n",
     "4:17: 'gpu' must be a mapping, not a single value"},
    {"RequiresTpuUnknown", "requires: {tpu: {chips: 1}}\n", "4:18: unknown key 'chips'"},
    {"RequiresTolerationUnknown", "requires: {tolerations: [{key: a, operator: Exists}]}\n",
     "4:35: unknown key 'operator'"},
    {"PackagesScalar", "packages: vim\n", "4:11: 'packages' must be a list, not a single value"},
    {"PackagesMapping", "packages: {vim: 1}\n", "4:11: 'packages' must be a list, not a mapping"},
    {"ConfigList", "config: [a]\n", "4:9: 'config' must be a mapping, not a list"},
    {"ConfigNull", "config:\n", "4:1: 'config' must be a mapping, not nothing"},
    {"EnvList", "config: {env: [A=1]}\n", "4:15: 'env' must be a mapping, not a list"},
    {"EnvNull", "config:\n  env:\n    A:\n", "6:5: 'A' has no value"},
    {"CmdScalar", "config: {cmd: run}\n", "4:15: 'cmd' must be a list, not a single value"},
    {"PackageMapping", "packages: [{a: b}]\n", "4:12: this must be a single value, not a mapping"},
    // what is required
    {"RequiresCpu", "requires: {cpu: four}\n", "4:17: 'cpu' is no quantity: \"four\""},
    {"RequiresCpuNone", "requires: {cpu: 0}\n", "4:17: 'cpu' must be more than 0"},
    {"RequiresMemory", "requires:\n  memory: 8GB\n", "5:11: 'memory' is no quantity: \"8GB\""},
    {"RequiresMemoryNull", "requires:\n  memory:\n", "5:3: 'memory' has no value"},
    {"RequiresNoVendor", "requires: {gpu: {count: 1}}\n", "4:17: key 'vendor' is missing"},
    {"RequiresVendor", "requires: {gpu: {vendor: nvidai}}\n",
     "4:26: 'vendor' is no known vendor: \"nvidai\"; did you mean nvidia?"},
    {"RequiresCount", "requires: {gpu: {vendor: amd, count: 0}}\n",
     "4:38: 'count' must be 1 to 4096"},
    {"RequiresCountHalf", "requires: {gpu: {vendor: amd, count: 0.5}}\n",
     "4:38: 'count' is no whole number: '0.5'"},
    {"RequiresMemoryOfAmd", "requires: {gpu: {vendor: amd, memory: 16Gi}}\n",
     "4:39: 'memory' is said by nodes of nvidia's GPUs only"},
    {"RequiresCompute", "requires: {gpu: {vendor: nvidia, compute: sm_75}}\n",
     "4:43: 'compute' is no compute capability: \"sm_75\""},
    {"RequiresTopology", "requires: {tpu: {topology: 2 by 4}}\n",
     "4:28: 'topology' is no label value: \"2 by 4\""},
    {"RequiresLevel", "requires: {cpu-level: {amd64: v5}}\n",
     "4:31: 'cpu-level' is no level of amd64: \"v5\""},
    {"RequiresLevelOfOther", "requires: {cpu-level: {ppc64le: v3}}\n",
     "4:33: 'cpu-level' is no level of ppc64le: \"v3\""},
    {"RequiresLevelOfArm", "requires: {cpu-level: {arm64: v8}}\n", "4:24: unknown key 'arm64'"},
    {"RequiresLevelAlone", "requires: {cpu-level: v3}\n", "4:23: 'cpu-level' must be a mapping"},
    {"RequiresFeaturesOfNone", "requires: {cpu-features: {ppc64el: [MMA]}}\n",
     "4:27: unknown architecture 'ppc64el'"},
    {"RequiresFeaturesAlias", "requires: {cpu-features: {x86_64: [AVX2]}}\n",
     "4:27: unknown architecture 'x86_64'"},
    {"RequiresFeaturesAlone", "requires: {cpu-features: [AVX2]}\n",
     "4:26: 'cpu-features' must be a mapping, not a list"},
    {"RequiresFeature", "requires: {cpu-features: {amd64: [AVX2, a/b]}}\n",
     "4:41: this is no feature of a processor: \"a/b\""},
    {"RequiresNearKey", "requires: {near: {\"a b\": c}}\n", "4:26: 'a b' is no label key: \"a b\""},
    {"RequiresNearValue", "requires: {near: {rack: 1/2}}\n",
     "4:25: 'rack' is no label value: \"1/2\""},
    {"RequiresTolerationKey", "requires:\n  tolerations:\n  - {value: a}\n",
     "6:5: key 'key' is missing"},
    {"RequiresEffect", "requires: {tolerations: [{key: a}, {key: b, effect: NoShedule}]}\n",
     "4:53: 'effect' is no effect of a taint: \"NoShedule\"; did you mean NoSchedule?"},
    {"VariantsScalar", "variants: gpu\n", "4:11: 'variants' must be a list, not a single value"},
    {"VariantName", "variants: [gpu, a/b]\n", "4:17: this cannot end a tag: \"a/b\""},
    {"VariantTwice", "variants: [gpu, gpu]\n", "4:17: variant 'gpu' is named twice"},
    {"VariantPlatform", "variants: [ppc64le]\n",
     "4:12: 'ppc64le' ends the tag of a platform, not of a variant"},
    // values
    {"NoName", "!platforms: [linux/amd64]\nbase: {scratch: true}\n", "1:1: key 'name' is missing"},
    {"BadName", "!name: My_Func\n", "1:7: 'My_Func' cannot be the name of a function"},
    {"BadNameEnd", "!name: a-\n", "1:7: 'a-' cannot be"},
    {"BadNameJoint", "!name: a..b\n", "1:7: 'a..b' cannot be"},
    {"NoPlatforms", "!name: f\nbase: {scratch: true}\n", "1:1: key 'platforms' is missing"},
    {"EmptyPlatforms", "!name: f\nplatforms: []\n", "2:12: 'platforms' must name 1 to 64"},
    {"DebianPlatformName", "!name: f\nplatforms: [linux/ppc64el]\n", "2:13: "},
    {"BadPlatform", "!name: f\nplatforms:\n  - linux/amd64\n  - linux//x\n", "4:5: "},
    {"SamePlatformTwice", "!name: f\nplatforms: [linux/amd64, x86_64]\n",
     "2:26: platform 'linux/amd64' is named twice"},
    {"UnknownArchitecture", "!name: f\nplatforms: [linux/amd64, linux/pcc64le]\n",
     "2:26: platform \"linux/pcc64le\" has no known architecture"},
    {"VariantWithoutBaseline", "!name: f\nplatforms: [linux/amd64, linux/ppc64le/power9]\n",
     "2:26: most nodes do not look for a variant of ppc64le"},
    {"NoBase", "!name: f\nplatforms: [linux/amd64]\n", "1:1: key 'base' is missing"},
    {"TwoBases", "!name: f\nplatforms: [linux/amd64]\nbase: {debian: sid, scratch: true}\n",
     "3:1: 'base' needs exactly one of"},
    {"EmptyBase", "!name: f\nplatforms: [linux/amd64]\nbase: {}\n",
     "3:1: 'base' needs exactly one of"},
    {"ScratchFalse", "!name: f\nplatforms: [linux/amd64]\nbase: {scratch: false}\n",
     "3:17: 'scratch' can only be true"},
    {"ScratchWord", "!name: f\nplatforms: [linux/amd64]\nbase: {scratch: yes}\n",
     "3:17: 'scratch' must be true or false, not 'yes'"},
    {"MirrorOfImage", "!name: f\nplatforms: [linux/amd64]\nbase: {image: x, mirror: y}\n",
     "3:18: 'mirror' belongs to a 'debian' base"},
    {"MirrorNoUrl", "!name: f\nplatforms: [linux/amd64]\nbase: {debian: sid, mirror: ftp.x}\n",
     "3:29: 'mirror' must be a URL"},
    {"ReleaseName", "!name: f\nplatforms: [linux/amd64]\nbase: {debian: ../x}\n",
     "3:16: '../x' cannot be the name of a Debian release"},
    {"PackageName", "packages: [Vim]\n", "4:12: 'Vim' cannot be the name of a Debian package"},
    {"PackageVersion", "packages: [vim=]\n", "4:12: 'vim=' cannot be"},
    {"PackageOption", "packages: [-o]\n", "4:12: '-o' cannot be"},
    {"PackageTwice", "packages: [vim, nano, vim]\n", "4:23: package 'vim' is named twice"},
    {"PackagesOfScratch",
     "!name: f\nplatforms: [linux/amd64]\nbase: {scratch: true}\npackages: [vim]\n",
     "4:1: 'packages' needs a 'debian' base"},
    {"ExcludeWithoutReason", "exclude: {vim: \"\"}\n", "4:16: say why 'vim' is left out"},
    {"UnknownRuntime", "runtime: pyhton\n",
     "4:10: unknown runtime 'pyhton'; did you mean 'python'?"},
    {"NotebookOfAnother", "runtime: python\nnotebook: {mode: kernel}\n",
     "5:1: 'notebook' belongs to the runtime of that name"},
    {"NotebookMode", "runtime: notebook\nnotebook: {mode: fast}\n", "5:18: unknown mode 'fast'"},
    {"NotebookParameters", "runtime: notebook\nnotebook: {parameters: some}\n",
     "5:24: unknown parameters 'some'"},
    {"NoMain", "runtime: python\n", "4:1: runtime 'python' needs 'source' with the 'main' file"},
    {"NoMainInSource", "runtime: python\nsource: {files: [a]}\n",
     "5:1: runtime 'python' needs 'source' with the 'main' file"},
    {"AbsoluteMain", "source: {main: /etc/passwd}\n",
     "4:16: 'main' must be relative to the build file"},
    {"MainOfTheImageOutside", "runtime: exec\nsource: {main: /usr/../x}\n",
     "5:16: 'main' must not contain '..'"},
    {"MainOutside", "source: {main: ../x.py}\n", "4:16: 'main' must not lead out"},
    {"FilesOutside", "source: {files: [a/../../b]}\n", "4:18: this must not lead out"},
    {"EmptyMain", "source: {main: ''}\n", "4:16: 'main' must not be empty"},
    {"LayerWithoutTo", "layers:\n  - {name: m, from: x}\n", "5:5: key 'to' is missing"},
    {"LayerRelativeTo", "layers: [{name: m, from: x, to: y}]\n",
     "4:33: 'to' must be an absolute path in the image, not 'y'"},
    {"LayerToParent", "layers: [{name: m, from: x, to: /a/../b}]\n",
     "4:33: 'to' must not contain '..'"},
    {"LayerReserved", "layers: [{name: source, from: x, to: /y}]\n",
     "4:17: 'source' is the name of a layer of fnimage's"},
    {"LayerTwice", "layers:\n  - {name: m, from: x, to: /y}\n  - {name: m, from: x, to: /z}\n",
     "6:12: there are two layers named 'm'"},
    {"LayerName", "layers: [{name: M, from: x, to: /y}]\n", "4:17: 'M' cannot be the name"},
    {"LayerPlaceholder", "layers: [{name: m, from: x, to: '/y/{arhc}'}]\n",
     "4:33: unknown placeholder '{arhc}'"},
    {"FileMode", "files: [{from: x, to: /y, mode: 0789}]\n", "4:33: '0789' is not a file mode"},
    {"FileModeSymbolic", "files: [{from: x, to: /y, mode: u+x}]\n", "4:33: 'u+x' is not"},
    {"FileModeLarge", "files: [{from: x, to: /y, mode: 17777}]\n", "4:33: '17777' is not"},
    {"Placeholder", "files: [{from: 'b/{architecture}', to: /y}]\n",
     "4:16: unknown placeholder '{architecture}'"},
    {"PlaceholderOpen", "files: [{from: 'b/{arch', to: /y}]\n", "4:16: unknown placeholder"},
    {"PlaceholderInTo", "files: [{from: b, to: '/y/{cpu}'}]\n",
     "4:23: unknown placeholder '{cpu}'"},
    {"EnvName", "config: {env: {\"A=B\": 1}}\n",
     "4:16: 'A=B' cannot be the name of an environment variable"},
    {"User", "config: {user: \"a b\"}\n", "4:16: 'a b' is not a user"},
    {"UserThreeParts", "config: {user: 1:2:3}\n", "4:16: '1:2:3' is not a user"},
    {"Workdir", "config: {workdir: action}\n", "4:19: 'workdir' must be an absolute path"},
    {"PathControl", "config: {workdir: \"/a\\nb\"}\n", "4:19: 'workdir' contains control"},
};

INSTANTIATE_TEST_SUITE_P(Table, BrokenSpec, ::testing::ValuesIn(broken_specs),
                         [](const auto& tested) { return tested.param.name; });

TEST(Spec, RefusesATextThatIsTooLarge) {
  EXPECT_THAT(parse(std::string(300 * 1024, '#')),
              fails_with(ErrorCode::invalid_input, HasSubstr("256.0 KiB")));
}

TEST(Spec, LooksForTheFilesItNames) {
  const test::TempDir dir;
  dir.write("handler.py", "");
  dir.write("fnimage.yaml", std::string(head) + "runtime: python\nsource: {main: handlr.py}\n");
  EXPECT_THAT(load_spec(dir / "fnimage.yaml"),
              fails_with(ErrorCode::not_found,
                         ::testing::AllOf(HasSubstr("fnimage.yaml:5:16: no file 'handlr.py'"),
                                          HasSubstr("did you mean 'handler.py'?"))));
  dir.write("fnimage.yaml", std::string(head) + "layers: [{name: m, from: m.h5, to: /m}]\n");
  EXPECT_THAT(load_spec(dir / "fnimage.yaml"),
              fails_with(ErrorCode::not_found, HasSubstr(":4:26: no file 'm.h5'")));
  dir.write("fnimage.yaml", std::string(head) + "files: [{from: '{arch}/m', to: /m}]\n");
  const BuildSpec spec = unwrap(load_spec(dir / "fnimage.yaml"));
  EXPECT_EQ(spec.directory, dir.path());
}

TEST(Spec, PlatformsAreKnownOnes) {
  EXPECT_EQ(unwrap(parse_build_platform("ppc64le")).str(), "linux/ppc64le");
  const auto misspelled = parse_build_platform("linux/pcc64le");
  EXPECT_THAT(misspelled, fails_with(ErrorCode::invalid_argument, HasSubstr("linux/pcc64le")));
  EXPECT_EQ(misspelled.error().hint(), "did you mean ppc64le?");
}

TEST(Spec, SaysHowToGetABuildFile) {
  const test::TempDir dir;
  const auto missing = load_spec(dir / "fnimage.yaml");
  EXPECT_THAT(missing, fails_with(ErrorCode::not_found));
  EXPECT_THAT(missing.error().hint(), HasSubstr("fnimage init"));
  dir.write("fnimage.yaml", "# nothing\n");
  const auto empty = load_spec(dir / "fnimage.yaml");
  EXPECT_THAT(empty, fails_with(ErrorCode::invalid_input,
                                HasSubstr("fnimage.yaml:1:1: the build file is empty")));
  EXPECT_THAT(empty.error().hint(), HasSubstr("fnimage init"));
}

// The parser tells the keys it knows in its hint; the schema must know the same ones.
std::set<std::string> keys_of_parser(const std::string& text) {
  const auto result = parse(text);
  EXPECT_THAT(result, fails_with(ErrorCode::invalid_input, HasSubstr("unknown key 'zzzzzz'")));
  constexpr std::string_view begin = "known keys: ";
  EXPECT_THAT(result.error().hint(), StartsWith(std::string(begin)));
  std::set<std::string> keys;
  for (const std::string_view key :
       split(std::string_view(result.error().hint()).substr(begin.size()), ',')) {
    keys.emplace(trim(key));
  }
  return keys;
}

std::set<std::string> keys_of_schema(const nlohmann::json& schema) {
  EXPECT_EQ(schema.at("additionalProperties"), false);
  std::set<std::string> keys;
  for (const auto& [key, value] : schema.at("properties").items()) {
    keys.insert(key);
  }
  return keys;
}

TEST(Schema, KnowsTheKeysOfTheParser) {
  const nlohmann::json schema = unwrap(parse_json(spec_schema(), "schema"));
  const nlohmann::json& properties = schema.at("properties");
  const std::string start(head);
  EXPECT_EQ(keys_of_schema(schema), keys_of_parser("zzzzzz: 1\n"));
  EXPECT_EQ(keys_of_schema(properties.at("base")),
            keys_of_parser("name: f\nplatforms: [linux/amd64]\nbase: {zzzzzz: 1}\n"));
  EXPECT_EQ(keys_of_schema(properties.at("source")), keys_of_parser(start + "source: {zzzzzz: 1}"));
  EXPECT_EQ(keys_of_schema(properties.at("notebook")),
            keys_of_parser(start + "runtime: notebook\nnotebook: {zzzzzz: 1}"));
  EXPECT_EQ(keys_of_schema(properties.at("config")), keys_of_parser(start + "config: {zzzzzz: 1}"));
  const nlohmann::json& needs = properties.at("requires");
  EXPECT_EQ(keys_of_schema(needs), keys_of_parser(start + "requires: {zzzzzz: 1}"));
  EXPECT_EQ(keys_of_schema(needs.at("properties").at("gpu")),
            keys_of_parser(start + "requires: {gpu: {zzzzzz: 1}}"));
  EXPECT_EQ(keys_of_schema(needs.at("properties").at("tpu")),
            keys_of_parser(start + "requires: {tpu: {zzzzzz: 1}}"));
  EXPECT_EQ(keys_of_schema(needs.at("properties").at("cpu-level")),
            keys_of_parser(start + "requires: {cpu-level: {zzzzzz: 1}}"));
  EXPECT_EQ(keys_of_schema(needs.at("properties").at("tolerations").at("items")),
            keys_of_parser(start + "requires: {tolerations: [{zzzzzz: 1}]}"));
  EXPECT_EQ(keys_of_schema(properties.at("layers").at("items")),
            keys_of_parser(start + "layers: [{zzzzzz: 1}]"));
  EXPECT_EQ(keys_of_schema(properties.at("files").at("items")),
            keys_of_parser(start + "files: [{zzzzzz: 1}]"));
}

TEST(Schema, KnowsTheHardwareOfTheParser) {
  const nlohmann::json schema = unwrap(parse_json(spec_schema(), "schema"));
  const nlohmann::json& needs = schema.at("properties").at("requires").at("properties");
  for (const auto& vendor : needs.at("gpu").at("properties").at("vendor").at("enum")) {
    EXPECT_THAT(parse_after_head("requires: {gpu: {vendor: " + vendor.get<std::string>() + "}}\n"),
                is_ok());
  }
  EXPECT_EQ(needs.at("gpu").at("properties").at("vendor").at("enum").size(), 4U);
  for (const auto& [architecture, levels] : needs.at("cpu-level").at("properties").items()) {
    std::vector<std::string> known;
    for (const std::string_view level : require::cpu_levels_of(architecture)) {
      known.emplace_back(level);
    }
    EXPECT_EQ(levels.at("enum").get<std::vector<std::string>>(), known);
  }
}

TEST(Schema, KnowsTheRuntimesOfTheParser) {
  const nlohmann::json schema = unwrap(parse_json(spec_schema(), "schema"));
  for (const auto& runtime : schema.at("properties").at("runtime").at("enum")) {
    EXPECT_THAT(parse_after_head("source: {main: a.py}\nruntime: " + runtime.get<std::string>()),
                is_ok());
  }
  const auto unknown = parse_after_head("runtime: zzzzzz\n");
  for (const auto& runtime : schema.at("properties").at("runtime").at("enum")) {
    EXPECT_THAT(unknown.error().hint(), HasSubstr("'" + runtime.get<std::string>() + "'"));
  }
}

TEST(Spec, NotebookRunsInAKernelUnlessCompiled) {
  const std::string source = "source: {main: a.ipynb}\nruntime: notebook\n";
  const BuildSpec plain = unwrap(parse_after_head(source));
  EXPECT_FALSE(plain.notebook.compiled);
  EXPECT_TRUE(plain.notebook.parameters);
  const BuildSpec compiled =
      unwrap(parse_after_head(source + "notebook: {mode: compiled, parameters: none}\n"));
  EXPECT_TRUE(compiled.notebook.compiled);
  EXPECT_FALSE(compiled.notebook.parameters);
}

TEST(Spec, ExecutableMayBeAPathOfTheImage) {
  const BuildSpec spec =
      unwrap(parse_after_head("runtime: exec\nsource: {main: /usr/local/bin/solver}\n"));
  EXPECT_EQ(spec.main, "/usr/local/bin/solver");
}

TEST(Init, StarterOfAnExecutableIsOne) {
  const test::TempDir dir;
  EXPECT_THAT(init({.directory = dir.path(), .runtime = "exec"}), is_ok());
  EXPECT_EQ(std::filesystem::status(dir / "handler.sh").permissions(),
            std::filesystem::perms(0755));
  const BuildSpec spec = unwrap(load_spec(dir / "fnimage.yaml"));
  EXPECT_THAT(spec.packages, ElementsAre("coreutils", "dash"));
}

TEST(Init, WritesWhatBuildAccepts) {
  const test::TempDir dir;
  const InitResult made = unwrap(init({.directory = dir / "My Function"}));
  EXPECT_EQ(made.name, "my-function");
  EXPECT_EQ(made.files.size(), 2U);
  const BuildSpec spec = unwrap(load_spec(dir / "My Function/fnimage.yaml"));
  EXPECT_EQ(spec.name, "my-function");
  EXPECT_EQ(spec.runtime, "python");
  EXPECT_EQ(spec.platforms.size(), 2U);
  EXPECT_THAT(spec.packages, IsEmpty());
}

TEST(Init, OverwritesNothing) {
  const test::TempDir dir;
  dir.write("handler.py", "mine");
  EXPECT_THAT(init({.directory = dir.path()}),
              fails_with(ErrorCode::already_exists, HasSubstr("handler.py")));
  EXPECT_THAT(dir.list(), ElementsAre("handler.py"));
  EXPECT_EQ(dir.read("handler.py"), "mine");
}

TEST(Init, RefusesABadName) {
  const test::TempDir dir;
  EXPECT_THAT(init({.directory = dir.path(), .name = "No Name"}),
              fails_with(ErrorCode::invalid_argument));
  const auto unknown = init({.directory = dir.path(), .runtime = "cobol"});
  EXPECT_THAT(unknown, fails_with(ErrorCode::invalid_argument));
  EXPECT_EQ(unknown.error().hint(), "choose one of: python, notebook, nodejs, exec");
  EXPECT_THAT(dir.list(), IsEmpty());
}

}  // namespace
}  // namespace fnimage::build
