// The compatibilities of a list's images hold exactly on the nodes whose hardware fits: random
// lists and nodes, judged once by needs (require::fits, where nothing but hardware decides) and
// once by an evaluator of Node Feature Discovery's rules that reads the attached document and
// nothing else.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <fnimage/place/compatibility.hpp>
#include <fnimage/place/format.hpp>
#include <fnimage/require/fit.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "node_features.hpp"
#include "random_hardware.hpp"

namespace fnimage::place {
namespace {

using manifest::NodeMachine;
using nlohmann::json;

constexpr std::size_t hardware_cases = 2'000;
constexpr std::size_t hardware_nodes = 4;

/// Needs that are no features, by the names that notes call them.
std::vector<std::string> unsaid_needs(const require::Requirements& needs) {
  std::vector<std::string> unsaid;
  if (needs.cpu_millis) {
    unsaid.emplace_back("cpu");
  }
  if (needs.memory_bytes) {
    unsaid.emplace_back("memory");
  }
  if (needs.tpu) {
    unsaid.emplace_back("google.com/tpu");
  }
  static const std::map<std::string, std::string> resources{{"nvidia", "nvidia.com/gpu"},
                                                            {"amd", "amd.com/gpu"},
                                                            {"intel", "gpu.intel.com/i915"},
                                                            {"intel-xe", "gpu.intel.com/xe"}};
  // That there is one at all is said by its device; which driver one of Intel's has is not.
  if (needs.gpu && (needs.gpu->count > 1 || needs.gpu->vendor.starts_with("intel"))) {
    unsaid.push_back(resources.at(needs.gpu->vendor));
  }
  return unsaid;
}

bool asks_for_features_only(const require::Requirements& needs) {
  const bool is_kind_of_tpu =
      needs.tpu && !(needs.tpu->accelerator.empty() && needs.tpu->topology.empty());
  return !is_kind_of_tpu &&
         std::all_of(needs.near.begin(), needs.near.end(),
                     [](const auto& label) { return is_feature(label.first, label.second); });
}

bool asks_for_features(const require::Requirements& needs) {
  return needs.gpu || !needs.cpu_level.empty() || !needs.cpu_features.empty() ||
         !needs.near.empty();
}

class Hardware : public testing::Test {
 protected:
  void check(std::uint64_t seed) {
    Random random(seed);
    RandomList made = random_list(random);
    need_hardware(random, made);
    const std::vector<manifest::Runtime> runtimes = random_runtimes(random);
    const auto placed = place(made.list, made.facts, {.runtimes = {.all = runtimes}});
    if (!placed) {
      return;
    }
    const std::set<std::size_t> taken = taken_of(*placed);
    const bool is_sayable = std::all_of(taken.begin(), taken.end(), [&](std::size_t entry) {
      return asks_for_features_only(made.facts[entry].requirements);
    });
    if (is_sayable) {
      check_placed(random, made, runtimes, *placed);
      return;
    }
    check_refusal(*placed);
    forget_places(made);
    const auto sayable = place(made.list, made.facts, {.runtimes = {.all = runtimes}});
    if (sayable) {
      check_placed(random, made, runtimes, *sayable);
    }
  }

  std::map<std::string, std::size_t> counts;

 private:
  /// By entry; null = without rules.
  using Documents = std::map<std::size_t, json>;

  static std::set<std::size_t> taken_of(const Placement& placement) {
    std::set<std::size_t> taken;
    for (const PlacedPlatform& placed : placement.platforms) {
      taken.insert(placed.entries.begin(), placed.entries.end());
    }
    return taken;
  }

  void check_refusal(const Placement& placement) {
    const auto refused = compatibilities_of(placement);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::unsupported);
    EXPECT_NE(refused.error().message().find("is no feature of hardware"), std::string::npos);
    const auto rendered = render(placement, Format::nfd, {});
    ASSERT_FALSE(rendered);
    EXPECT_EQ(rendered.error().message(), refused.error().message());
    ++counts["refused"];
  }

  void check_placed(Random& random, const RandomList& made,
                    const std::vector<manifest::Runtime>& runtimes, const Placement& placement) {
    const auto all = test::unwrap(compatibilities_of(placement));
    const Documents documents = check_documents(made, placement, all);
    check_rendered(placement, all);
    for (std::size_t i = 0; i < hardware_nodes; ++i) {
      const PlacedPlatform platform = random.pick(placement.platforms);
      const RandomNode node = random_hardware(random, platform.os, platform.architecture);
      const auto features = nfd::features_of(node.object.at("metadata").at("labels"));
      for (const std::size_t entry : taken_by(made.list, runtimes, node.node)) {
        SCOPED_TRACE(fmt::format("entry {}, {}", entry, node.object.dump()));
        check_node(made, entry, documents, {node.node, features});
      }
    }
  }

  /// One for each image that some node takes, with all that can be said of its needs.
  Documents check_documents(const RandomList& made, const Placement& placement,
                            const std::vector<Compatibility>& all) {
    Documents documents;
    const std::set<std::size_t> taken = taken_of(placement);
    EXPECT_EQ(all.size(), taken.size());
    for (const std::size_t entry : taken) {
      const auto compatibility =
          std::find_if(all.begin(), all.end(), [&](const Compatibility& one) {
            return one.image.digest == made.list.manifests[entry].digest;
          });
      if (compatibility == all.end()) {
        ADD_FAILURE() << "entry " << entry << " has none";
        continue;
      }
      const require::Requirements& needs = made.facts[entry].requirements;
      check_notes(*compatibility, unsaid_needs(needs));
      EXPECT_EQ(compatibility->yaml.empty(), !asks_for_features(needs));
      EXPECT_EQ(compatibility->json.empty(), compatibility->yaml.empty());
      documents[entry] = compatibility->yaml.empty() ? json() : check_document(*compatibility);
      ++counts[compatibility->yaml.empty() ? "without rules" : "with rules"];
    }
    return documents;
  }

  static json check_document(const Compatibility& compatibility) {
    json document = nfd::loaded(compatibility.yaml);
    EXPECT_EQ(document, json::parse(compatibility.json));
    const auto faults = nfd::faults_of(document);
    EXPECT_TRUE(faults.empty()) << faults.front() << "\n" << compatibility.yaml;
    return document;
  }

  void check_notes(const Compatibility& compatibility, const std::vector<std::string>& unsaid) {
    const auto is_noted = [&](const std::string& name) {
      return std::any_of(compatibility.notes.begin(), compatibility.notes.end(),
                         [&](const std::string& note) {
                           return note.ends_with(fmt::format(" of {} is not in it", name));
                         });
    };
    for (const std::string& name : unsaid) {
      EXPECT_TRUE(is_noted(name)) << name;
      ++counts["noted"];
    }
    EXPECT_EQ(compatibility.notes.size(), unsaid.size())
        << fmt::format("{}", fmt::join(compatibility.notes, "\n"));
  }

  static void check_rendered(const Placement& placement, const std::vector<Compatibility>& all) {
    json documents = json::array();
    for (const Compatibility& compatibility : all) {
      if (!compatibility.json.empty()) {
        documents.push_back(json::parse(compatibility.json));
      }
    }
    const auto rendered = render(placement, Format::nfd, {});
    ASSERT_EQ(rendered.has_value(), !documents.empty());
    if (!rendered) {
      EXPECT_EQ(rendered.error().code(), ErrorCode::unsupported);
      return;
    }
    const json emitted = json::parse(rendered->json);
    EXPECT_EQ(documents.size() == 1 ? json::array({emitted}) : emitted.at("items"), documents);
    for (const Compatibility& compatibility : all) {
      for (const std::string& note : compatibility.notes) {
        EXPECT_NE(rendered->yaml.find(fmt::format("# {}\n", note)), std::string::npos) << note;
      }
    }
  }

  /// With any of the runtimes; some of them know the level of the processor.
  static std::set<std::size_t> taken_by(const manifest::Index& list,
                                        const std::vector<manifest::Runtime>& runtimes,
                                        const node::Node& node) {
    std::set<std::size_t> all;
    for (const manifest::Runtime& runtime : runtimes) {
      for (const NodeMachine& machine : {node.machine, NodeMachine{node.machine.platform, ""}}) {
        const auto taken = manifest::taken_by(list, runtime, machine);
        EXPECT_TRUE(taken) << runtime.str();
        if (taken) {
          all.insert(*taken);
        }
      }
    }
    return all;
  }

  struct Judged {
    const node::Node& node;
    const nfd::Features& features;
  };

  void check_node(const RandomList& made, std::size_t entry, const Documents& documents,
                  const Judged& judged) {
    ASSERT_TRUE(documents.contains(entry));
    const json& document = documents.at(entry);
    const bool fitting = fits(made, entry, judged.node);
    if (document.is_null()) {
      EXPECT_TRUE(fitting) << "nothing is asked";
      return;
    }
    const bool holding = nfd::holds(document, judged.features);
    EXPECT_EQ(holding, fitting) << document.dump();
    ++counts[holding ? "fits" : "does not fit"];
    if (document.dump().find("matchAny") != std::string::npos) {
      ++counts[holding ? "fits an alternative" : "fits no alternative"];
    }
  }

  static bool fits(const RandomList& made, std::size_t entry, const node::Node& node) {
    const ImageFacts& facts = made.facts[entry];
    const auto& said = made.list.manifests[entry].platform;
    const manifest::Platform platform =
        manifest::normalize(said ? *said : facts.config_platform.value());
    return require::fits(facts.requirements, platform, node);
  }
};

TEST_F(Hardware, CompatibilitiesAndFittingNodesAreTheSame) {
  for (std::uint64_t seed = 1; seed <= hardware_cases && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    check(seed);
  }
  // Cases that say nothing would prove nothing.
  for (const char* often : {"refused", "without rules", "with rules", "noted",
                            "fits an alternative", "fits no alternative"}) {
    EXPECT_GT(counts[often], hardware_cases / 40) << often;
  }
  const std::size_t answers = counts["fits"] + counts["does not fit"];
  EXPECT_GT(counts["fits"], answers / 8);
  EXPECT_GT(counts["does not fit"], answers / 8);
  for (const auto& [what, count] : counts) {
    RecordProperty(what, static_cast<int>(count));
  }
}

}  // namespace
}  // namespace fnimage::place
