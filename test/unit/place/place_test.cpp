// Which terms, resources and tolerations lists come to, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fnimage/manifest/image_config.hpp>
#include <fnimage/place/place.hpp>
#include <fnimage/place/read.hpp>
#include <fnimage/registry/memory_store.hpp>
#include <fnimage/test/result_matchers.hpp>

namespace fnimage::place {
namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Platform;
using require::Expression;
using require::Operator;
using require::Requirements;
using require::Term;
using test::fails_with;
using test::unwrap;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30U;

struct Entry {
  std::string platform;  ///< empty = none
  Requirements requirements{};
};

Descriptor descriptor_of(const std::string& platform) {
  return {.media_type = std::string(manifest::media_type::oci_manifest),
          .digest = Digest::of(platform),
          .size = platform.size()};
}

/// Platforms as they are written, without their normal form.
Platform literal(const std::string& text) {
  const auto first = text.find('/');
  const auto second = text.find('/', first + 1);
  return {text.substr(0, first),
          text.substr(first + 1, second - first - 1),
          second == std::string::npos ? "" : text.substr(second + 1),
          "",
          {}};
}

Result<Placement> place_list(const std::vector<Entry>& entries, const Options& options = {}) {
  manifest::Index list;
  std::vector<ImageFacts> facts;
  for (const Entry& entry : entries) {
    list.manifests.push_back(descriptor_of(entry.platform));
    if (!entry.platform.empty()) {
      list.manifests.back().platform = literal(entry.platform);
    }
    facts.push_back({.requirements = entry.requirements});
  }
  return place(list, facts, options);
}

Term term_of(std::vector<std::string> architectures, std::vector<Expression> more = {}) {
  Term term{{std::string(os_label), Operator::in, {"linux"}},
            {std::string(architecture_label), Operator::in, std::move(architectures)}};
  term.insert(term.end(), more.begin(), more.end());
  return term;
}

Options with_runtimes(std::initializer_list<const char*> names) {
  Options options;
  options.runtimes.all.clear();
  for (const char* name : names) {
    options.runtimes.all.push_back(unwrap(manifest::parse_runtime(name)));
  }
  return options;
}

Options of_platform(const char* platform) {
  Options options;
  options.platforms = {unwrap(Platform::parse(platform))};
  return options;
}

const Requirements warehouse{.near = {{"warehouse", "dwh-1"}}};

TEST(Place, PlatformsThatNeedTheSameShareOneTerm) {
  const Placement placement = unwrap(place_list(
      {{"linux/ppc64le", warehouse}, {"linux/amd64", warehouse}, {"linux/arm64", warehouse}}));
  EXPECT_THAT(placement.terms, ElementsAre(term_of({"amd64", "arm64", "ppc64le"},
                                                   {{"warehouse", Operator::in, {"dwh-1"}}})));
  ASSERT_THAT(placement.platforms, SizeIs(3));
  EXPECT_EQ(placement.platforms[0].str(), "linux/amd64");
  EXPECT_EQ(placement.platforms[0].image.digest, Digest::of("linux/amd64"));
  EXPECT_THAT(placement.platforms[0].entries, ElementsAre(1U));
  EXPECT_THAT(placement.tolerations, SizeIs(3));
  EXPECT_THAT(placement.notes, IsEmpty());
}

TEST(Place, LevelsOfAProcessorAreTermsOfTheirOwn) {
  const Placement placement = unwrap(place_list(
      {{"linux/amd64", {.cpu_level = "v3"}}, {"linux/ppc64le", {}}, {"linux/arm64", {}}}));
  EXPECT_THAT(placement.terms, SizeIs(2));
  EXPECT_EQ(placement.terms[1], term_of({"arm64", "ppc64le"}));
  EXPECT_EQ(placement.terms[0].back().key, "feature.node.kubernetes.io/cpu-cpuid.X86_64_V3");
}

TEST(Place, ArchitecturesCountWhenAllRuntimesTakeThem) {
  // CRI-O knows no x86_64, and containerd since 2.1 no fallbacks.
  const Placement placement =
      unwrap(place_list({{"linux/x86_64"}, {"linux/ppc64le"}, {"linux/386"}}));
  EXPECT_THAT(placement.terms, ElementsAre(term_of({"386", "ppc64le"})));
  EXPECT_THAT(placement.notes,
              ElementsAre(AllOf(HasSubstr("linux/amd64 is left out"), HasSubstr("CRI-O"))));
  const Placement old = unwrap(place_list({{"linux/ppc64le"}, {"linux/386"}, {"linux/arm/v7"}},
                                          with_runtimes({"containerd:1.7"})));
  EXPECT_THAT(old.terms, ElementsAre(term_of({"386", "amd64", "arm", "arm64", "ppc64le"})));
  EXPECT_EQ(old.platforms[1].image_platform.architecture, "386");
}

TEST(Place, NamesOfOtherWorldsAndStatementsAreNoPlatforms) {
  const Placement placement =
      unwrap(place_list({{"linux/ppc64el"}, {"unknown/unknown"}, {"linux/amd64"}}));
  EXPECT_THAT(placement.terms, ElementsAre(term_of({"amd64"})));
  EXPECT_THAT(placement.notes, ElementsAre(HasSubstr("ppc64el")));
  EXPECT_THAT(place_list({{"linux/ppc64el"}}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("no node takes")));
}

TEST(Place, RuntimesThatTakeDifferentImages) {
  manifest::Index list;
  for (const char* name : {"with erofs", "plain"}) {
    list.manifests.push_back(descriptor_of(name));
    list.manifests.back().platform = literal("linux/amd64");
  }
  list.manifests[0].platform->os_features = {"erofs"};
  // Before 2.3 containerd did not look at os.features, and takes the first.
  const Options both = with_runtimes({"containerd:2.2", "containerd:2.3"});
  const Placement same = unwrap(place(list, {{}, {}}, both));
  EXPECT_THAT(same.notes, ElementsAre(HasSubstr("not all nodes take the same image")));
  EXPECT_THAT(same.platforms[0].entries, ElementsAre(0U, 1U));
  EXPECT_THAT(place(list, {{.requirements = warehouse}, {}}, both),
              fails_with(ErrorCode::unsupported, HasSubstr("need different nodes")));
  const Placement one =
      unwrap(place(list, {{.requirements = warehouse}, {}}, with_runtimes({"containerd:2.3"})));
  EXPECT_THAT(one.terms, ElementsAre(term_of({"amd64"})));
}

TEST(Place, NodesHaveTheirOwnRuntimes) {
  Options options;
  options.runtimes.of["linux/amd64"] = {unwrap(manifest::parse_runtime("containerd:1.7"))};
  const Placement placement = unwrap(place_list({{"linux/x86_64"}, {"linux/ppc64le"}}, options));
  EXPECT_THAT(placement.terms, ElementsAre(term_of({"amd64", "ppc64le"})));
  node::Node power{.name = "p", .machine = {.platform = literal("linux/ppc64le")}};
  power.runtime = unwrap(manifest::parse_runtime("cri-o:1.30"));
  node::Node arm{.name = "a", .machine = {.platform = literal("linux/arm/v7")}};
  const Runtimes runtimes = runtimes_of({power, arm, power});
  EXPECT_THAT(runtimes.all, ElementsAre(power.runtime, arm.runtime));
  EXPECT_THAT(runtimes.of.at("linux/ppc64le"), ElementsAre(power.runtime));
  EXPECT_THAT(runtimes.of.at("linux/arm"), ElementsAre(arm.runtime));
}

TEST(Place, TheLargestAmountServesAllAndIsSaid) {
  const Placement placement =
      unwrap(place_list({{"linux/amd64", {.cpu_millis = 500, .memory_bytes = 2 * gibibyte}},
                         {"linux/ppc64le", {.cpu_millis = 4000, .memory_bytes = 2 * gibibyte}}}));
  EXPECT_EQ(placement.resources.at("cpu"), "4");
  EXPECT_EQ(placement.resources.at("memory"), "2Gi");
  EXPECT_THAT(placement.terms, SizeIs(1));
  EXPECT_THAT(placement.notes, ElementsAre(AllOf(HasSubstr("different amounts of cpu"),
                                                 HasSubstr("the largest (4)"))));
}

TEST(Place, WhatOnePodCannotBeIsRefusedWithTheWayOut) {
  const Requirements gpu{.gpu = require::Gpu{.vendor = "nvidia"}};
  const auto devices = place_list({{"linux/amd64", gpu}, {"linux/ppc64le", {}}});
  ASSERT_THAT(devices, fails_with(ErrorCode::unsupported, HasSubstr("nvidia.com/gpu")));
  EXPECT_THAT(devices.error().hint(), HasSubstr("--platform linux/amd64"));
  EXPECT_THAT(place_list({{"linux/amd64", {}}, {"linux/ppc64le", gpu}}),
              fails_with(ErrorCode::unsupported, HasSubstr("nvidia.com/gpu")));
  const Requirements tolerant{.tolerations = {{.key = "dedicated"}}};
  EXPECT_THAT(place_list({{"linux/amd64", {}}, {"linux/ppc64le", tolerant}}),
              fails_with(ErrorCode::unsupported, HasSubstr("taint dedicated")));
  Options amd64;
  amd64.platforms = {unwrap(Platform::parse("linux/amd64"))};
  const Placement placement =
      unwrap(place_list({{"linux/amd64", gpu}, {"linux/ppc64le", {}}}, amd64));
  EXPECT_EQ(placement.resources.at("nvidia.com/gpu"), "1");
  EXPECT_THAT(placement.platforms, SizeIs(1));
}

TEST(Place, PlatformsThatAreAskedForMustBeThere) {
  const std::vector<Entry> entries{{"linux/amd64"}, {"linux/ppc64le"}};
  EXPECT_THAT(unwrap(place_list(entries, of_platform("ppc64le"))).terms,
              ElementsAre(term_of({"ppc64le"})));
  EXPECT_THAT(place_list(entries, of_platform("s390x")),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("linux/s390x")));
  EXPECT_THAT(place_list(entries, of_platform("linux/amd64/v3")),
              fails_with(ErrorCode::invalid_argument, HasSubstr("no label for the variant")));
}

TEST(Place, ContradictionsAreDroppedOrRefused) {
  const Requirements power{.near = {{"kubernetes.io/arch", "ppc64le"}}};
  const Placement placement =
      unwrap(place_list({{"linux/amd64", power}, {"linux/ppc64le", power}}));
  EXPECT_THAT(placement.terms, ElementsAre(term_of({"ppc64le"})));
  EXPECT_THAT(place_list({{"linux/amd64", power}}),
              fails_with(ErrorCode::platform_mismatch, HasSubstr("labels")));
}

TEST(Place, EntriesWithoutPlatformGoByTheirConfig) {
  manifest::Index list;
  list.manifests.push_back(descriptor_of("nameless"));
  const Platform ppc64le = literal("linux/ppc64le");
  EXPECT_THAT(unwrap(place(list, {{.requirements = {}, .config_platform = ppc64le}}, {})).terms,
              ElementsAre(term_of({"ppc64le"})));
  EXPECT_THAT(place(list, std::vector<ImageFacts>(1), {}),
              fails_with(ErrorCode::platform_mismatch));
}

TEST(Place, SingleImagesRunWhereTheirConfigSays) {
  const Placement placement =
      unwrap(place(descriptor_of("image"),
                   {.requirements = warehouse, .config_platform = literal("linux/386")}, {}));
  EXPECT_THAT(placement.terms,
              ElementsAre(term_of({"386", "amd64"}, {{"warehouse", Operator::in, {"dwh-1"}}})));
  EXPECT_THAT(place(descriptor_of("image"), ImageFacts{}, {}),
              fails_with(ErrorCode::platform_mismatch));
}

TEST(Place, ListsInListsAndTooManyPlatformsAreRefused) {
  manifest::Index list;
  list.manifests.push_back(descriptor_of("inner"));
  list.manifests[0].media_type = manifest::media_type::oci_index;
  list.manifests[0].platform = literal("linux/amd64");
  EXPECT_THAT(place(list, {{}}, {}), fails_with(ErrorCode::unsupported, HasSubstr("list within")));
  std::vector<Entry> entries;
  for (int i = 0; i < 300; ++i) {
    entries.push_back({fmt::format("linux/cpu{}", i)});
  }
  EXPECT_THAT(place_list(entries), fails_with(ErrorCode::unsupported, HasSubstr("platforms")));
}

TEST(Place, OldArmIsSaid) {
  EXPECT_THAT(unwrap(place_list({{"linux/arm/v7"}}, with_runtimes({"containerd:2.1"}))).notes,
              ElementsAre(HasSubstr("before v7")));
  EXPECT_THAT(unwrap(place_list({{"linux/arm/v6"}}, with_runtimes({"containerd:1.7"}))).notes,
              IsEmpty());
}

TEST(PlaceDocument, NeedsAreOfTheEntryOrElseOfTheImage) {
  const auto store = registry::make_memory_store("test");
  WorkerPool pool(2);
  const std::string key(require::requires_annotation);
  manifest::Index list;
  for (const char* architecture : {"amd64", "ppc64le"}) {
    manifest::ImageConfig config;
    config.platform = literal(fmt::format("linux/{}", architecture));
    const std::string bytes = manifest::emit(config);
    manifest::ImageManifest image{
        .config = {.media_type = std::string(manifest::media_type::oci_config),
                   .digest = Digest::of(bytes),
                   .size = bytes.size()},
        .layers = {}};
    image.annotations[key] = R"({"near":{"of":"image"}})";
    unwrap(store->put_blob(image.config, *memory_content(bytes), {}));
    const auto document = manifest::Document::of(image);
    unwrap(store->put_manifest(document, std::nullopt));
    list.manifests.push_back(document.descriptor());
    list.manifests.back().platform = config.platform;
  }
  list.manifests[0].annotations[key] = R"({"near":{"of":"entry"}})";
  const Placement placement =
      unwrap(place_document(*store, manifest::Document::of(list), {}, pool));
  EXPECT_EQ(placement.platforms[0].requirements.near.at("of"), "entry");
  EXPECT_EQ(placement.platforms[1].requirements.near.at("of"), "image");
  const auto single = unwrap(store->get_manifest(list.manifests[1].digest));
  EXPECT_THAT(unwrap(place_document(*store, single, {}, pool)).terms,
              ElementsAre(term_of({"ppc64le"}, {{"of", Operator::in, {"image"}}})));
  // Of an image that is missing nobody knows the needs; where it is not wanted nobody asks.
  list.manifests[1].digest = Digest::of("missing");
  const auto sparse = manifest::Document::of(list);
  EXPECT_THAT(place_document(*store, sparse, {}, pool), fails_with(ErrorCode::not_found));
  EXPECT_THAT(unwrap(place_document(*store, sparse, of_platform("linux/amd64"), pool)).platforms,
              SizeIs(1));
  list.manifests[0].annotations[key] = R"({"gpus":1})";
  EXPECT_THAT(
      place_document(*store, manifest::Document::of(list), of_platform("linux/amd64"), pool),
      fails_with(ErrorCode::invalid_input, HasSubstr("gpus")));
}

}  // namespace
}  // namespace fnimage::place
