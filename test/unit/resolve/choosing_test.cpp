// Random lists, variants and nodes: what the resolver chooses, what resolve() answers, and what the
// rules say when they are followed one by one have to be the same.
#include <array>
#include <random>

#include <fmt/ranges.h>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/selection.hpp>
#include <fnimage/require/fit.hpp>
#include <fnimage/resolve/resolve.hpp>
#include <fnimage/resolve/resolver.hpp>

#include "images.hpp"

namespace fnimage::resolve {
namespace {

using manifest::Descriptor;
using manifest::Document;
using manifest::Platform;
using test::unwrap;

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  bool once_in(unsigned times) { return engine_() % times == 0; }
  template <class Values>
  const auto& of(const Values& values) {
    return values[engine_() % std::size(values)];
  }
  unsigned below(unsigned end) { return static_cast<unsigned>(engine_() % end); }

 private:
  std::mt19937 engine_;
};

const std::array<Platform, 5> platforms{{{"linux", "amd64", "", "", {}},
                                         {"linux", "ppc64le", "", "", {}},
                                         {"linux", "arm64", "", "", {}},
                                         {"linux", "amd64", "v3", "", {}},
                                         {"unknown", "unknown", "", "", {}}}};
const std::array<std::string, 8> needs{{"", "", R"({"cpu":"4"})", R"({"memory":"8Gi","cpu":"2"})",
                                        R"({"gpu":{"count":2,"vendor":"nvidia"}})",
                                        R"({"near":{"zone":"a"}})", R"({"cpu-level":"v3"})",
                                        R"({"fpga":1})"}};
const std::array<std::string, 3> suffixes{{"gpu", "fast", "lost"}};

class World {
 public:
  explicit World(std::uint32_t seed) : dice_(seed) {}

  Descriptor entry() {
    const Platform& platform = dice_.of(platforms);
    Descriptor entry = put_image(*store, platform, std::to_string(dice_.below(1000)),
                                 dice_.of(needs), dice_.once_in(2));
    if (dice_.once_in(8)) {
      entry.digest = manifest::Digest::of("gone");
    } else if (dice_.once_in(6)) {
      entry = put_list(*store, {put_image(*store, platform, "inner", dice_.of(needs))}, "inner")
                  .descriptor();
      entry.platform = platform;
    }
    return entry;
  }

  Document list(const std::string& tag, const std::string& variants = {}) {
    std::vector<Descriptor> entries;
    for (unsigned i = dice_.below(4) + 1; i > 0; --i) {
      entries.push_back(entry());
    }
    return put_list(*store, std::move(entries), tag, variants);
  }

  node::Node node() {
    constexpr std::array<std::string_view, 4> runtimes{"containerd:1.7", "containerd:2.2", "cri-o",
                                                       "docker:27"};
    node::Node node = make_node(platforms[dice_.below(3)], dice_.of(runtimes));
    node.is_described = dice_.once_in(2);
    node.unschedulable = dice_.once_in(10);
    if (dice_.once_in(2)) {
      node.machine.cpu_variant = dice_.once_in(2) ? "v3" : "v2";
    }
    if (!dice_.once_in(4)) {
      node.allocatable.cpu_millis = dice_.below(8) * 1000;
      node.allocatable.memory_bytes = std::uint64_t{dice_.below(16)} << 30;
      node.allocatable.others["nvidia.com/gpu"] = dice_.below(4);
    }
    if (dice_.once_in(2)) {
      node.labels["zone"] = dice_.once_in(2) ? "a" : "b";
    }
    if (dice_.once_in(5)) {
      node.taints.push_back({"dedicated", "x", "NoSchedule"});
    }
    return node;
  }

  Dice& dice() { return dice_; }

  std::unique_ptr<registry::ImageStore> store = registry::make_memory_store("world");

 private:
  Dice dice_;
};

/// What the rules come to, step by step. Nullopt: no image.
struct Ruling {
  manifest::Digest digest;
  std::optional<require::Fit> fit{};  ///< nullopt: it requires nothing
};

std::optional<Ruling> rule(registry::ImageStore& store, const Document& document,
                           const node::Node& node,
                           std::optional<std::pair<std::string, Platform>> asked = {}) {
  const auto key = std::string(require::requires_annotation);
  if (document.is_index()) {
    const manifest::Index index = unwrap(document.index());
    const auto taken = manifest::choose_for(index, node.runtime, node.machine).taken;
    if (!taken) {
      return std::nullopt;
    }
    const Descriptor& entry = index.manifests[*taken];
    if (!asked && entry.annotations.contains(key)) {
      asked = {entry.annotations.at(key), *entry.platform};
    }
    const auto next = store.get_manifest(entry.digest);
    return next ? rule(store, *next, node, asked) : std::nullopt;
  }
  const manifest::ImageManifest image = unwrap(document.image());
  if (!asked && image.annotations.contains(key)) {
    asked = {image.annotations.at(key),
             unwrap(registry::read_config(store, image.config)).platform};
  }
  if (!asked) {
    return Ruling{document.digest()};
  }
  const auto requirements = require::parse_requirements(asked->first, "x");
  if (!requirements) {
    return std::nullopt;
  }
  return Ruling{document.digest(), require::fit(*requirements, asked->second, node)};
}

/// The digest that is to be taken, and of which variant.
std::pair<std::string, std::string> expected_of(registry::ImageStore& store, const Document& base,
                                                const std::vector<std::string>& variants,
                                                const node::Node& node) {
  for (const std::string& suffix : variants) {
    const auto list = store.get_manifest("base-" + suffix);
    const auto ruling = list ? rule(store, *list, node) : std::nullopt;
    if (ruling && (!ruling->fit || (ruling->fit->is_good() && ruling->fit->unknown.empty()))) {
      return {ruling->digest.str(), suffix};
    }
  }
  const auto ruling = rule(store, base, node);
  return ruling && (!ruling->fit || ruling->fit->is_good())
             ? std::pair(ruling->digest.str(), std::string())
             : std::pair(std::string(), std::string());
}

TEST(Choosing, AllWaysComeToTheSame) {
  WorkerPool pool(2);
  constexpr std::uint32_t worlds = 150;
  std::size_t taken = 0;
  std::size_t of_variants = 0;
  std::size_t unfit = 0;
  for (std::uint32_t seed = 0; seed < worlds; ++seed) {
    World world(seed);
    std::vector<std::string> variants;
    for (const std::string& suffix : suffixes) {
      if (world.dice().once_in(2)) {
        variants.push_back(suffix);
      }
    }
    const Document base = world.list("base", fmt::format("{}", fmt::join(variants, ",")));
    world.list("base-gpu");
    world.list("base-fast");
    std::vector<node::Node> nodes;
    for (unsigned i = 0; i < 20; ++i) {
      nodes.push_back(world.node());
    }
    Resolver resolver([&world](const std::string& reference) -> Result<registry::OpenedImage> {
      return registry::OpenedImage{registry::with_manifests(*world.store, {}), reference};
    });
    const auto known = unwrap(resolver.resolve("base", nodes));
    const auto answers = unwrap(resolve(*world.store, base, nodes, {.tag = "base"}, pool));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      SCOPED_TRACE(fmt::format("world {}, node {}", seed, i));
      const Choice& choice = known.choices[i];
      const Answer& answer = answers[i];
      const auto [digest, suffix] = expected_of(*world.store, base, variants, nodes[i]);
      EXPECT_EQ(choice.image == nullptr ? "" : choice.image->digest.str(), digest);
      EXPECT_EQ(choice.variant ? known.image.image->variants()[*choice.variant].suffix : "",
                suffix);
      EXPECT_EQ(answer.taken ? answer.taken->digest.str() : "", digest);
      EXPECT_EQ(answer.variant, suffix);
      EXPECT_EQ(answer.outcome, choice.outcome);
      EXPECT_EQ(answer.requirements.has_value(), choice.requirements != nullptr);
      EXPECT_EQ(answer.reason.empty(), !digest.empty());
      EXPECT_EQ(answer.passed.size(),
                choice.variant.value_or(known.image.image->variants().size()));
      for (const PassedVariant& passed : answer.passed) {
        EXPECT_NE(passed.reason, "the node ");
      }
      taken += digest.empty() ? 0U : 1U;
      of_variants += suffix.empty() ? 0U : 1U;
      unfit += choice.outcome == Choice::Outcome::unfit ? 1U : 0U;
    }
  }
  // All of it happens.
  EXPECT_GT(taken, 200U);
  EXPECT_GT(of_variants, 100U);
  EXPECT_GT(unfit, 50U);
}

}  // namespace
}  // namespace fnimage::resolve
