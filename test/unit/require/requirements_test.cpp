// The annotation in its one form, what is read of others' and what is refused.
#include <fmt/format.h>

#include <fnimage/require/requirements.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "platforms.hpp"

namespace fnimage::require {
namespace {

using test::fails_with;
using test::unwrap;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

manifest::Platform platform_of(std::string_view text) {
  return unwrap(manifest::Platform::parse(text));
}

Requirements everything() {
  return {.cpu_millis = 4000,
          .memory_bytes = 8 * gibibyte,
          .gpu = Gpu{.vendor = "nvidia",
                     .count = 2,
                     .memory_bytes = 16 * gibibyte,
                     .compute = ComputeCapability{7, 5}},
          .tpu = Tpu{.count = 4, .accelerator = "tpu-v5-lite-podslice", .topology = "2x4"},
          .cpu_level = "v3",
          .cpu_features = {"AVX2", "AMXTILE"},
          .near = {{"example.com/warehouse", "dwh-1"}},
          .tolerations = {{.key = "dedicated", .value = "science", .effect = "NoSchedule"},
                          {.key = "spot"}}};
}

TEST(Requirements, HaveOneTextThatIsReadBack) {
  const std::string text = to_json(everything());
  EXPECT_EQ(text,
            R"({"cpu":"4","cpu-features":["AVX2","AMXTILE"],"cpu-level":"v3",)"
            R"("gpu":{"compute":"7.5","count":2,"memory":"16Gi","vendor":"nvidia"},"memory":"8Gi",)"
            R"("near":{"example.com/warehouse":"dwh-1"},)"
            R"("tolerations":[{"effect":"NoSchedule","key":"dedicated","value":"science"},)"
            R"({"key":"spot"}],"tpu":{"accelerator":"tpu-v5-lite-podslice","count":4,)"
            R"("topology":"2x4"}})");
  EXPECT_EQ(unwrap(parse_requirements(text, "x")), everything());
  EXPECT_EQ(to_json({}), "{}");
  EXPECT_TRUE(unwrap(parse_requirements("{}", "x")).empty());
  EXPECT_FALSE(everything().empty());
}

TEST(Requirements, OfOthersMayBeWrittenDifferently) {
  const Requirements read = unwrap(parse_requirements(
      R"({"memory": 8589934592, "cpu": 0.5, "gpu": {"vendor": "amd"}, "tpu": {}})", "x"));
  EXPECT_EQ(read.cpu_millis, 500U);
  EXPECT_EQ(read.memory_bytes, 8 * gibibyte);
  EXPECT_EQ(read.gpu, (Gpu{.vendor = "amd", .count = 1}));
  EXPECT_EQ(read.tpu, Tpu{});
  EXPECT_EQ(to_json(read),
            R"({"cpu":"500m","gpu":{"count":1,"vendor":"amd"},"memory":"8Gi","tpu":{"count":1}})");
}

TEST(Requirements, WithFaultsAreRefused) {
  const std::vector<std::array<std::string, 2>> faults{
      {"", "x: not valid JSON"},
      {"[]", "x: is not an object"},
      {R"({"fpga": 1})", "x: fpga is not known"},
      {R"({"gpu": {"vendor": "nvidia", "model": "A100"}})", "x: gpu.model is not known"},
      {R"({"gpu": []})", "x: gpu is not an object"},
      {R"({"gpu": null})", "x: gpu is not an object"},
      {R"({"gpu": {}})", "x: gpu.vendor: is no known vendor: \"\""},
      {R"({"gpu": {"vendor": "nvida"}})", "x: gpu.vendor: is no known vendor: \"nvida\"; did you "},
      {R"({"gpu": {"vendor": "nvidia", "count": 0}})", "x: gpu.count: must be 1 to 4096"},
      {R"({"gpu": {"vendor": "nvidia", "count": 5000}})", "x: gpu.count: must be 1 to 4096"},
      {R"({"gpu": {"vendor": "nvidia", "count": true}})", "x: gpu.count is no quantity"},
      {R"({"gpu": {"vendor": "nvidia", "compute": "seven"}})",
       "x: gpu.compute is no compute capability"},
      {R"({"gpu": {"vendor": "nvidia", "compute": 7.5}})", "x: gpu.compute is not text"},
      {R"({"gpu": {"vendor": "nvidia", "compute": "0.5"}})", "x: gpu.compute: is no compute"},
      {R"({"gpu": {"vendor": "nvidia", "memory": "0"}})", "x: gpu.memory: must be more than 0"},
      {R"({"gpu": {"vendor": "amd", "memory": "16Gi"}})",
       "x: gpu.memory: is said by nodes of nvidia's GPUs only"},
      {R"({"gpu": {"vendor": "intel", "compute": "7.5"}})",
       "x: gpu.compute: is said by nodes of nvidia's GPUs only"},
      {R"({"cpu": "0"})", "x: cpu: must be more than 0"},
      {R"({"cpu": "four"})", "x: cpu is no quantity: \"four\""},
      {R"({"cpu": -1})", "x: cpu is no quantity: \"-1\" is negative"},
      {R"({"memory": {}})", "x: memory is no quantity"},
      {R"({"memory": 0})", "x: memory: must be more than 0"},
      {R"({"tpu": {"topology": "2 x 4"}})", "x: tpu.topology: is no label value: \"2 x 4\""},
      {R"({"tpu": {"accelerator": "-"}})", "x: tpu.accelerator: is no label value"},
      {R"({"tpu": {"count": 0}})", "x: tpu.count: must be"},
      {R"({"cpu-level": "v5"})", "x: cpu-level: is no known level: \"v5\""},
      {R"({"cpu-features": "AVX2"})", "x: cpu-features is not a list"},
      {R"({"cpu-features": [1]})", "x: cpu-features[0] is not text"},
      {R"({"cpu-features": ["AVX2", "A/B"]})", "x: cpu-features.1: is no feature of a processor"},
      {R"({"cpu-features": [""]})", "x: cpu-features.0: is no feature"},
      {R"({"cpu-features": ["AVX2", "AVX2"]})", "x: cpu-features.1: is named twice: AVX2"},
      {R"({"near": ["a"]})", "x: near is not an object"},
      {R"({"near": {"a": 1}})", "x: near.a is not text"},
      {R"({"near": {"a b": "c"}})", "x: near.a b: is no label key: \"a b\""},
      {R"({"near": {"a": "c d"}})", "x: near.a: is no label value: \"c d\""},
      {R"({"tolerations": {}})", "x: tolerations is not a list"},
      {R"({"tolerations": ["a"]})", "x: tolerations[0] is not an object"},
      {R"({"tolerations": [{"key": "a", "operator": "Exists"}]})",
       "x: tolerations[0].operator is not known"},
      {R"({"tolerations": [{"value": "a"}]})", "x: tolerations.0.key: is no label key: \"\""},
      {R"({"tolerations": [{"key": "a", "value": "?"}]})", "x: tolerations.0.value: is no label"},
      {R"({"tolerations": [{"key": "a", "effect": "NoShedule"}]})",
       "x: tolerations.0.effect: is no effect of a taint: \"NoShedule\"; did you mean NoSchedule"},
      {R"({"near": {"a": {"b": {"c": {}}}}})", "x: nested deeper"},
      {R"({"cpu": "1", "cpu": "2"})", "x: duplicate key"},
      {"{" + std::string(70'000, ' ') + "}", "x: "},
  };
  for (const auto& [text, message] : faults) {
    EXPECT_THAT(parse_requirements(text, "x"),
                fails_with(ErrorCode::invalid_input, StartsWith(message)))
        << text.substr(0, 200);
  }
}

TEST(Requirements, AreBounded) {
  Requirements requirements;
  for (int i = 0; i < 65; ++i) {
    requirements.cpu_features.push_back(fmt::format("F{}", i));
  }
  EXPECT_THAT(check(requirements, platform_of("linux/amd64")),
              fails_with(ErrorCode::invalid_argument, HasSubstr("more than 64 entries")));
  requirements = {};
  for (int i = 0; i < 65; ++i) {
    requirements.near[fmt::format("k{}", i)] = "v";
  }
  EXPECT_THAT(check(requirements, platform_of("linux/amd64")),
              fails_with(ErrorCode::invalid_argument, HasSubstr("near: has more than 64 labels")));
  requirements = {};
  requirements.tolerations.assign(65, {.key = "a"});
  EXPECT_THAT(check(requirements, platform_of("linux/amd64")),
              fails_with(ErrorCode::invalid_argument, HasSubstr("tolerations: has more than")));
}

TEST(Requirements, AreCheckedAgainstAPlatform) {
  const auto level = [](std::string_view name, std::string_view platform) {
    return check({.cpu_level = std::string(name)}, platform_of(platform));
  };
  EXPECT_THAT(level("v3", "linux/amd64"), test::is_ok());
  EXPECT_THAT(level("power9", "linux/ppc64le"), test::is_ok());
  EXPECT_THAT(level("power9", "linux/amd64"),
              fails_with(ErrorCode::invalid_argument,
                         AllOf(StartsWith("cpu-level: is no level of amd64: \"power9\""))));
  EXPECT_EQ(level("power9", "linux/amd64").error().hint(), "choose v2, v3, v4");
  EXPECT_THAT(level("v1", "linux/amd64"), fails_with(ErrorCode::invalid_argument));
  EXPECT_THAT(level("v3", "linux/arm64"),
              fails_with(ErrorCode::invalid_argument, HasSubstr("arm64 has no levels")));
  Requirements all = everything();
  EXPECT_THAT(check(all, platform_of("linux/amd64")), test::is_ok());
  all.gpu->vendor = "amd";
  EXPECT_THAT(check(all, platform_of("linux/amd64")),
              fails_with(ErrorCode::invalid_argument, StartsWith("gpu.memory: is said by nodes")));
}

TEST(Requirements, AreOfAnnotations) {
  EXPECT_TRUE(unwrap(requirements_of({{"other", "{"}}, "x")).empty());
  EXPECT_EQ(unwrap(requirements_of({{"io.fnimage.requires", R"({"cpu":"4"})"}}, "x")).cpu_millis,
            4000U);
  EXPECT_THAT(requirements_of({{"io.fnimage.requires", "{"}}, "list app:latest"),
              fails_with(ErrorCode::invalid_input,
                         StartsWith("list app:latest: io.fnimage.requires: not valid JSON")));
}

TEST(ComputeCapability, IsRead) {
  EXPECT_EQ(unwrap(parse_compute_capability("7.5")), (ComputeCapability{7, 5}));
  EXPECT_EQ(unwrap(parse_compute_capability("12")), (ComputeCapability{12, 0}));
  EXPECT_EQ(to_string(ComputeCapability{9, 0}), "9.0");
  EXPECT_GT((ComputeCapability{10, 0}), (ComputeCapability{9, 9}));
  for (const std::string_view text : {"", ".", "7.", ".5", "7.5.1", "-7", "sm_75", "99999999999"}) {
    EXPECT_THAT(parse_compute_capability(text), fails_with(ErrorCode::invalid_argument)) << text;
  }
}

TEST(Variants, AreReadInTheirOrder) {
  const auto variants = [](std::string text) {
    return variants_of({{"io.fnimage.variants", std::move(text)}}, "x");
  };
  EXPECT_THAT(unwrap(variants_of({}, "x")), IsEmpty());
  EXPECT_THAT(unwrap(variants("gpu,avx512")), ElementsAre("gpu", "avx512"));
  for (const std::string text : {"", "gpu,", "gpu,gpu", "g u", "a/b", "a:b"}) {
    EXPECT_THAT(variants(text),
                fails_with(ErrorCode::invalid_input, StartsWith("x: io.fnimage.variants: ")))
        << text;
  }
  EXPECT_THAT(variants(std::string(200, 'a')), fails_with(ErrorCode::invalid_input));
  std::string many = "v0";
  for (int i = 1; i <= 32; ++i) {
    many += fmt::format(",v{}", i);
  }
  EXPECT_THAT(variants(many), fails_with(ErrorCode::invalid_input, HasSubstr("more than 32")));
}

TEST(Requirements, HaveAShortTextForPeople) {
  EXPECT_EQ(describe({}), "");
  EXPECT_EQ(describe({.cpu_millis = 500, .gpu = Gpu{.vendor = "amd", .count = 2}}),
            "500m cpu, 2 amd gpu");
  EXPECT_EQ(describe(everything()),
            "4 cpu, 8Gi, 2 nvidia gpu ≥16Gi compute ≥7.5, 4 tpu tpu-v5-lite-podslice 2x4, level "
            "v3, AVX2, AMXTILE, example.com/warehouse=dwh-1");
}

}  // namespace
}  // namespace fnimage::require
