// What is emitted gives exactly the nodes that resolving gives: random lists, runtimes and nodes,
// judged once by runtimes' rules and needs (taken_by, fits) and once by an evaluator of Kubernetes'
// scheduling that reads the emitted JSON and nothing else.
#include <map>
#include <optional>
#include <regex>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/place/format.hpp>
#include <fnimage/require/fit.hpp>
#include <fnimage/test/result_matchers.hpp>

#include "kubernetes.hpp"
#include "random_cluster.hpp"
#include "validity.hpp"

namespace fnimage::place {
namespace {

using manifest::NodeMachine;
using manifest::Platform;
using nlohmann::json;
using test::unwrap;

constexpr std::size_t cases = 3'000;
constexpr std::size_t nodes_of_a_case = 8;

bool runs_on(const NodeMachine& machine, const Platform& platform) {
  for (const Platform& one : manifest::compatible_platforms(machine.platform)) {
    if (one.os == manifest::normalize(platform).os &&
        one.architecture == manifest::normalize(platform).architecture) {
      return true;
    }
  }
  return false;
}

/// Whether a machine with this runtime takes an image that the node suits.
bool takes_and_fits(const RandomList& made, const manifest::Runtime& runtime,
                    const NodeMachine& machine, const node::Node& node) {
  const auto taken = manifest::taken_by(made.list, runtime, machine);
  if (!taken) {
    return false;
  }
  const ImageFacts& facts = made.facts[*taken];
  const auto& said = made.list.manifests[*taken].platform;
  if (!said && (!facts.config_platform || !runs_on(machine, *facts.config_platform))) {
    return false;  // pulled and not started
  }
  const Platform platform = manifest::normalize(said ? *said : *facts.config_platform);
  return require::fits(facts.requirements, platform, node);
}

/// With any of the cluster's runtimes; a level of the processor is known to some of them only, and
/// is no label that every cluster has.
bool qualifies(const RandomList& made, const std::vector<manifest::Runtime>& runtimes,
               const node::Node& node) {
  for (const manifest::Runtime& runtime : runtimes) {
    const NodeMachine plain{node.machine.platform, ""};
    if (!takes_and_fits(made, runtime, node.machine, node) ||
        !takes_and_fits(made, runtime, plain, node)) {
      return false;
    }
  }
  return true;
}

json parsed(const Rendered& rendered) {
  return json::parse(rendered.json);
}

void expect_valid(const std::vector<std::string>& faults, const Rendered& rendered) {
  EXPECT_TRUE(faults.empty()) << faults.front() << "\n" << rendered.yaml;
}

/// What OpenWhisk's invoker makes of a template: a term of its own unless that is switched off, and
/// the action's resources instead of the template's.
json made_by_openwhisk(const Rendered& rendered) {
  json spec = parsed(rendered).at("spec");
  const bool is_off =
      rendered.yaml.find("user-pod-node-affinity.enabled to false") != std::string::npos;
  if (!is_off) {
    json& terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
                      ["nodeSelectorTerms"];
    terms.push_back({{"matchExpressions",
                      {{{"key", "openwhisk-role"}, {"operator", "In"}, {"values", {"invoker"}}}}}});
  }
  json amounts = json::object();
  static const std::regex memory("--memory ([0-9]+)");
  static const std::regex millicpus("needs ([0-9]+) millicpus");
  std::smatch found;
  if (std::regex_search(rendered.yaml, found, memory)) {
    amounts["memory"] = found[1].str() + "Mi";
  }
  if (std::regex_search(rendered.yaml, found, millicpus)) {
    amounts["cpu"] = found[1].str() + "m";
  }
  EXPECT_EQ(spec.at("containers").size(), 1U);
  EXPECT_EQ(spec.at("containers").at(0).at("name"), "user-action");
  spec["containers"][0]["resources"] = {{"requests", amounts}, {"limits", amounts}};
  return spec;
}

json from_yaml(const YAML::Node& node) {
  if (node.IsMap()) {
    json value = json::object();
    for (const auto& pair : node) {
      value[pair.first.as<std::string>()] = from_yaml(pair.second);
    }
    return value;
  }
  if (node.IsSequence()) {
    json value = json::array();
    for (const YAML::Node& member : node) {
      value.push_back(from_yaml(member));
    }
    return value;
  }
  const auto text = node.as<std::string>("");
  return node.Tag() == "!" || !json::accept(text) ? json(text) : json::parse(text);
}

struct Case {
  RandomList made;
  std::vector<manifest::Runtime> runtimes;
  std::vector<RandomNode> nodes;
  json pod;
};

Case random_case(std::uint64_t seed) {
  Random random(seed);
  Case one{
      .made = random_list(random), .runtimes = random_runtimes(random), .nodes = {}, .pod = {}};
  for (std::size_t i = 0; i < nodes_of_a_case; ++i) {
    one.nodes.push_back(random_node(random, i));
  }
  one.pod = random_pod(random);
  return one;
}

struct Tally {
  std::map<std::string, std::size_t> counts{};

  void add(const std::string& what) { ++counts[what]; }
  std::size_t operator[](const std::string& what) const {
    const auto found = counts.find(what);
    return found == counts.end() ? 0 : found->second;
  }
};

class Exactness : public testing::Test {
 protected:
  void check(std::uint64_t seed) {
    const Case one = random_case(seed);
    const auto placed = place(one.made.list, one.made.facts, {.runtimes = {.all = one.runtimes}});
    if (!placed) {
      check_refusal(one, placed.error());
      return;
    }
    tally.add("placed");
    check_platforms(one, *placed);
    std::vector<bool> wanted;
    for (const RandomNode& node : one.nodes) {
      wanted.push_back(expected(one, *placed, node));
      tally.add(wanted.back() ? "yes" : "no");
    }
    check_parts(one, *placed, wanted);
    check_whole(one, *placed, wanted);
    check_openwhisk(one, *placed, wanted);
    check_openfaas(one, *placed, wanted);
    check_invoker_tags(one, *placed);
    check_patches(one, *placed, wanted);
  }

  Tally tally;

 private:
  void check_refusal(const Case& one, const Error& error) {
    if (error.code() == ErrorCode::unsupported) {
      tally.add("refused");
      return;
    }
    EXPECT_EQ(error.code(), ErrorCode::platform_mismatch) << error.message();
    tally.add("nowhere");
    for (const RandomNode& node : one.nodes) {
      EXPECT_FALSE(qualifies(one.made, one.runtimes, node.node)) << node.object.dump();
    }
  }

  static void check_platforms(const Case& one, const Placement& placement) {
    ASSERT_FALSE(placement.terms.empty());
    for (const PlacedPlatform& placed : placement.platforms) {
      const NodeMachine machine{manifest::normalize({placed.os, placed.architecture, "", "", {}}),
                                ""};
      const auto taken = manifest::taken_by(one.made.list, one.runtimes.front(), machine);
      ASSERT_TRUE(taken) << placed.str();
      EXPECT_EQ(one.made.list.manifests[placed.entries.front()].digest, placed.image.digest);
      EXPECT_TRUE(std::count(placed.entries.begin(), placed.entries.end(), *taken) == 1);
    }
  }

  /// Amounts that differ between platforms are the one thing in which a placement is stricter.
  static bool expected(const Case& one, const Placement& placement, const RandomNode& node) {
    if (!qualifies(one.made, one.runtimes, node.node)) {
      return false;
    }
    json amounts = placement.resources;
    const bool has_room = kubernetes::has_room(
        {{"containers", {{{"resources", {{"requests", amounts}}}}}}}, node.object);
    const bool is_stricter =
        std::any_of(placement.notes.begin(), placement.notes.end(), [](const std::string& note) {
          return note.find("different amounts") != std::string::npos;
        });
    EXPECT_TRUE(has_room || is_stricter) << node.object.dump();
    return has_room;
  }

  void compare(const Case& one, const std::vector<bool>& wanted, const json& spec,
               const Rendered& rendered, Format format) {
    for (std::size_t i = 0; i < one.nodes.size(); ++i) {
      EXPECT_EQ(kubernetes::schedules(spec, one.nodes[i].object), wanted[i])
          << to_string(format) << "\n"
          << rendered.yaml << one.nodes[i].object.dump() << "\n"
          << emit(one.made.list);
    }
    tally.add(std::string(to_string(format)));
  }

  void check_parts(const Case& one, const Placement& placement, const std::vector<bool>& wanted) {
    const Rendered affinity = unwrap(render(placement, Format::affinity, {}));
    expect_valid(validity::faults_of_spec(parsed(affinity), false), affinity);
    EXPECT_EQ(from_yaml(YAML::Load(affinity.yaml)), parsed(affinity)) << affinity.yaml;
    compare(one, wanted, parsed(affinity), affinity, Format::affinity);
    const auto selector = render(placement, Format::selector, {});
    if (!selector) {
      EXPECT_EQ(selector.error().code(), ErrorCode::unsupported);
      tally.add("no selector");
      return;
    }
    EXPECT_FALSE(parsed(*selector).contains("affinity"));
    expect_valid(validity::faults_of_spec(parsed(*selector), false), *selector);
    compare(one, wanted, parsed(*selector), *selector, Format::selector);
  }

  void check_whole(const Case& one, const Placement& placement, const std::vector<bool>& wanted) {
    const Target target{.image = "registry.example/f@" + manifest::Digest::of("list").str(),
                        .name = "7_Probe.x"};
    const Rendered pod = unwrap(render(placement, Format::pod, target));
    expect_valid(validity::faults_of_object(parsed(pod)), pod);
    expect_valid(validity::faults_of_spec(parsed(pod).at("spec"), true), pod);
    compare(one, wanted, parsed(pod).at("spec"), pod, Format::pod);
    const Rendered service = unwrap(render(placement, Format::knative, target));
    const json spec = parsed(service).at("spec").at("template").at("spec");
    expect_valid(validity::faults_of_object(parsed(service)), service);
    expect_valid(validity::faults_of_spec(spec, true), service);
    for (const char* field : {"affinity", "nodeSelector", "tolerations"}) {
      const std::string flag = fmt::format("kubernetes.podspec-{}", to_lower_text(field));
      EXPECT_EQ(spec.contains(field), service.yaml.find(flag) != std::string::npos) << flag;
    }
    compare(one, wanted, spec, service, Format::knative);
  }

  static std::string to_lower_text(const std::string& text) {
    std::string lower;
    for (const char c : text) {
      lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return lower;
  }

  void check_openwhisk(const Case& one, const Placement& placement,
                       const std::vector<bool>& wanted) {
    const auto openwhisk = render(placement, Format::openwhisk, {});
    if (!openwhisk) {
      EXPECT_EQ(openwhisk.error().code(), ErrorCode::unsupported);
      tally.add("no openwhisk");
      return;
    }
    const json spec = made_by_openwhisk(*openwhisk);
    expect_valid(validity::faults_of_spec(spec, false), *openwhisk);
    std::vector<bool> invokers;
    for (std::size_t i = 0; i < one.nodes.size(); ++i) {
      invokers.push_back(wanted[i] && one.nodes[i].node.labels.contains("openwhisk-role") &&
                         one.nodes[i].node.labels.at("openwhisk-role") == "invoker");
    }
    compare(one, invokers, spec, *openwhisk, Format::openwhisk);
  }

  /// What OpenFaaS makes of a Function and its Profile.
  static json made_by_openfaas(const json& emitted) {
    const bool is_list = emitted.at("kind") == "List";
    const json function = (is_list ? emitted.at("items").at(0) : emitted).at("spec");
    json spec = is_list ? emitted.at("items").at(1).at("spec") : json::object();
    for (const json& constraint : function.value("constraints", json::array())) {
      const auto text = constraint.get<std::string>();
      spec["nodeSelector"][text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
    }
    json resources = json::object();
    for (const char* field : {"requests", "limits"}) {
      if (function.contains(field)) {
        resources[field] = function.at(field);
      }
    }
    spec["containers"] = {
        {{"name", "f"}, {"image", function.at("image")}, {"resources", resources}}};
    EXPECT_EQ(is_list, function.contains("annotations"));
    return spec;
  }

  void check_openfaas(const Case& one, const Placement& placement,
                      const std::vector<bool>& wanted) {
    const auto openfaas =
        render(placement, Format::openfaas,
               {.image = "registry.example/f@" + manifest::Digest::of("list").str(), .name = "f"});
    if (!openfaas) {
      EXPECT_EQ(openfaas.error().code(), ErrorCode::unsupported);
      tally.add("no openfaas");
      return;
    }
    const json spec = made_by_openfaas(parsed(*openfaas));
    expect_valid(validity::faults_of_spec(spec, true), *openfaas);
    compare(one, wanted, spec, *openfaas, Format::openfaas);
  }

  /// A node as an invoker's tags see it: its taints, processors and memory are the invoker's
  /// matter.
  static RandomNode roomy(RandomNode node) {
    constexpr std::uint64_t plenty = std::uint64_t{1} << 50;
    node.node.taints.clear();
    node.node.unschedulable = false;
    for (node::Resources* resources : {&node.node.allocatable, &node.node.capacity}) {
      resources->cpu_millis = plenty;
      resources->memory_bytes = plenty;
    }
    return node;
  }

  /// Whether an invoker on that node bears a tag, by what is said of it.
  static bool bears(const json& meaning, const json& node) {
    if (meaning.contains("resources")) {
      const json spec = {
          {"containers", {{{"resources", {{"requests", meaning.at("resources")}}}}}}};
      return kubernetes::has_room(spec, node);
    }
    const json spec = {
        {"affinity",
         {{"nodeAffinity",
           {{"requiredDuringSchedulingIgnoredDuringExecution",
             {{"nodeSelectorTerms", {{{"matchExpressions", meaning.at("nodes")}}}}}}}}}}};
    return kubernetes::selects(spec, node.at("metadata").at("labels"));
  }

  void check_invoker_tags(const Case& one, const Placement& placement) {
    const auto tags = render(placement, Format::invoker_tags, {});
    if (!tags) {
      EXPECT_EQ(tags.error().code(), ErrorCode::unsupported);
      tally.add("no invoker-tags");
      return;
    }
    const json emitted = parsed(*tags);
    const json meanings = emitted.at("whisk.invoker.resource.tags");
    EXPECT_EQ(emitted.at("annotations").at("invoker-resources").size(), meanings.size());
    for (const RandomNode& node : one.nodes) {
      if (node.node.machine.platform.os != "linux") {
        continue;
      }
      const bool is_eligible =
          std::all_of(meanings.begin(), meanings.end(),
                      [&](const json& meaning) { return bears(meaning, node.object); });
      EXPECT_EQ(is_eligible, qualifies(one.made, one.runtimes, roomy(node).node))
          << tags->yaml << node.object.dump() << "\n"
          << emit(one.made.list);
      tally.add(is_eligible ? "eligible" : "not eligible");
    }
  }

  void check_patches(const Case& one, const Placement& placement, const std::vector<bool>& wanted) {
    const json bare = {{"kind", "Pod"},
                       {"spec", {{"containers", {{{"name", "f"}, {"image", "x"}}}}}}};
    const Rendered patch = unwrap(render(placement, Format::json_patch, {}));
    const json placed = bare.patch(parsed(patch)).at("spec");
    expect_valid(validity::faults_of_spec(placed, false), patch);
    compare(one, wanted, placed, patch, Format::json_patch);
    const auto fitted =
        render(placement, Format::json_patch, {.image = {}, .name = {}, .pod = &one.pod});
    const json& before = one.pod.at("spec");
    const json needs = parsed(unwrap(render(placement, Format::affinity, {})));
    if (!fitted) {
      EXPECT_EQ(fitted.error().code(), ErrorCode::invalid_argument) << fitted.error().message();
      for (const RandomNode& node : one.nodes) {
        const json& labels = node.object.at("metadata").at("labels");
        EXPECT_FALSE(kubernetes::selects(before, labels) && kubernetes::selects(needs, labels));
      }
      tally.add("contradicted");
      return;
    }
    const json after = one.pod.patch(parsed(*fitted)).at("spec");
    expect_valid(validity::faults_of_spec(after, false), *fitted);
    json both = before;  // all tolerations of both
    for (const json& toleration : needs.value("tolerations", json::array())) {
      both["tolerations"].push_back(toleration);
    }
    std::vector<bool> narrowed;
    for (const RandomNode& node : one.nodes) {
      const json& labels = node.object.at("metadata").at("labels");
      narrowed.push_back(
          kubernetes::selects(before, labels) && kubernetes::selects(needs, labels) &&
          kubernetes::has_room(before, node.object) && kubernetes::has_room(needs, node.object) &&
          kubernetes::tolerates(both, node.object));
    }
    compare(one, narrowed, after, *fitted, Format::json_patch);
    // Patched once more it stays as it is.
    const json patched = one.pod.patch(parsed(*fitted));
    const Rendered again =
        unwrap(render(placement, Format::json_patch, {.image = {}, .name = {}, .pod = &patched}));
    compare(one, narrowed, patched.patch(parsed(again)).at("spec"), again, Format::json_patch);
  }
};

TEST_F(Exactness, EmittedAndResolvedNodesAreTheSame) {
  for (std::uint64_t seed = 1; seed <= cases && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    check(seed);
  }
  // Cases that say nothing would prove nothing.
  EXPECT_GT(tally["placed"], cases / 2);
  EXPECT_GT(tally["refused"], cases / 100);
  EXPECT_GT(tally["nowhere"], cases / 100);
  const std::size_t answers = tally["yes"] + tally["no"];
  EXPECT_GT(tally["yes"], answers / 8);
  EXPECT_GT(tally["no"], answers / 8);
  for (const char* often : {"selector", "no selector", "openwhisk", "no openwhisk", "openfaas",
                            "no openfaas", "no invoker-tags", "eligible", "not eligible"}) {
    EXPECT_GT(tally[often], cases / 20) << often;
  }
  EXPECT_GT(tally["contradicted"], 0U);
  for (const auto& [what, count] : tally.counts) {
    RecordProperty(what, static_cast<int>(count));
  }
}

}  // namespace
}  // namespace fnimage::place
