// From lists and runtimes to terms: which nodes take what, what the images need, and what of it one
// pod can be.
#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/node/quantity.hpp>
#include <fnimage/place/place.hpp>

namespace fnimage::place {

namespace {

using manifest::Platform;
using manifest::Runtime;
using require::Expression;
using require::Operator;
using require::Term;
using require::Toleration;

/// What nodes of a kind take, for one way to ask; nullopt = nothing that runs there.
using Taken = std::optional<std::size_t>;

/// Nodes differ in no more kinds than Go has architectures; what has more is no list of images.
constexpr std::size_t max_node_platforms = 200;

bool says_platform(const manifest::Descriptor& entry) {
  return entry.platform && !entry.platform->architecture.empty();
}

/// What is to be placed.
struct Images {
  const manifest::Index* list = nullptr;            ///< null: a single image, which all take
  std::vector<manifest::Descriptor> descriptors{};  ///< without the list
  const std::vector<ImageFacts>& facts;

  [[nodiscard]] const manifest::Descriptor& at(std::size_t i) const {
    return list != nullptr ? list->manifests.at(i) : descriptors.at(i);
  }
  /// In normal form; empty words when nobody says it.
  [[nodiscard]] Platform platform_of(std::size_t i) const {
    const manifest::Descriptor& entry = at(i);
    if (list != nullptr && says_platform(entry)) {
      Platform platform = manifest::normalize(*entry.platform);
      platform.os = platform.os.empty() ? "linux" : platform.os;
      return platform;
    }
    const auto& said = facts.at(i).config_platform;
    return said ? manifest::normalize(*said) : Platform();
  }
};

/// Without a variant, but for the one that nodes of ARM have.
Platform default_platform(std::string os, std::string architecture) {
  return manifest::normalize({std::move(os), std::move(architecture), "", "", {}});
}

bool is_real(const Platform& platform) {
  return !platform.os.empty() && !platform.architecture.empty() && platform.os != "unknown" &&
         platform.architecture != "unknown";
}

/// Whether the machine runs programs of that platform, the levels of processors aside.
bool runs(const Platform& machine, const Platform& image) {
  const std::vector<Platform> compatible = manifest::compatible_platforms(machine);
  return std::any_of(compatible.begin(), compatible.end(), [&](const Platform& one) {
    return one.os == image.os && one.architecture == image.architecture;
  });
}

using NodePlatform = std::pair<std::string, std::string>;  ///< os and architecture

/// The kinds of nodes that something of the list may be for: those that it names, and those of the
/// architectures that also run them. Whether an image names it.
std::map<NodePlatform, bool> node_platforms_of(const Images& images,
                                               std::vector<std::string>& notes) {
  constexpr std::array<std::string_view, 2> with_fallbacks{"amd64", "arm64"};
  std::map<NodePlatform, bool> found;
  for (std::size_t i = 0; i < images.facts.size(); ++i) {
    const Platform platform = images.platform_of(i);
    if (!is_real(platform)) {
      continue;
    }
    if (const auto words = manifest::check_words(platform); !words) {
      notes.push_back(fmt::format("{} is left out: {}", printable(platform.str(), 100),
                                  words.error().message()));
      continue;
    }
    found[{platform.os, platform.architecture}] = true;
    for (const std::string_view architecture : with_fallbacks) {
      if (runs(default_platform(platform.os, std::string(architecture)), platform)) {
        found.try_emplace({platform.os, std::string(architecture)}, false);
      }
    }
  }
  return found;
}

/// Machines that the labels of os and architecture do not tell apart.
std::vector<manifest::NodeMachine> machines_of(const NodePlatform& platform) {
  std::vector<manifest::NodeMachine> machines{{default_platform(platform.first, platform.second)}};
  if (platform.second == "amd64") {
    for (const char* level : {"v2", "v3", "v4"}) {  // Docker finds them out
      machines.push_back({machines.front().platform, level});
    }
  }
  return machines;
}

Taken taken_of(const Images& images, const Runtime& runtime, const manifest::NodeMachine& machine) {
  const Taken taken =
      images.list != nullptr ? manifest::taken_by(*images.list, runtime, machine) : Taken(0);
  if (!taken) {
    return std::nullopt;
  }
  const bool is_told = images.list != nullptr && says_platform(images.at(*taken));
  return is_told || runs(machine.platform, images.platform_of(*taken)) ? taken : std::nullopt;
}

/// What all nodes of a kind take, with all their runtimes.
struct Agreement {
  std::set<std::size_t> entries{};
  std::vector<std::string> takers{};    ///< runtimes that take one
  std::vector<std::string> refusers{};  ///< runtimes that take none
};

Agreement agreement_on(const Images& images, const std::vector<Runtime>& runtimes,
                       const NodePlatform& platform) {
  Agreement agreement;
  for (const Runtime& runtime : runtimes) {
    bool takes = true;
    for (const manifest::NodeMachine& machine : machines_of(platform)) {
      const Taken taken = taken_of(images, runtime, machine);
      takes = takes && taken.has_value();
      if (taken) {
        agreement.entries.insert(*taken);
      }
    }
    (takes ? agreement.takers : agreement.refusers).push_back(runtime.str());
  }
  return agreement;
}

/// What an image asks of a pod.
struct Needs {
  std::vector<Term> terms;
  std::map<std::string, std::string> resources;
  std::vector<Toleration> tolerations;

  friend bool operator==(const Needs&, const Needs&) = default;
};

Needs needs_of(const require::Requirements& requirements, const Platform& platform) {
  return {require::terms_of(requirements, platform), require::resources_of(requirements),
          require::tolerations_of(requirements, platform)};
}

Needs needs_of(const PlacedPlatform& placed) {
  return needs_of(placed.requirements, placed.image_platform);
}

std::string shown(const NodePlatform& platform) {
  return printable(platform.first + "/" + platform.second, 100);
}

/// Versions of ARM are no labels either.
void note_versions_of_arm(const Images& images, const std::vector<Runtime>& runtimes,
                          const PlacedPlatform& placed, std::vector<std::string>& notes) {
  if (placed.architecture != "arm") {
    return;
  }
  const manifest::NodeMachine older{{placed.os, "arm", "v6", "", {}}};
  const bool all = std::all_of(runtimes.begin(), runtimes.end(), [&](const Runtime& runtime) {
    const Taken taken = taken_of(images, runtime, older);
    return taken && std::count(placed.entries.begin(), placed.entries.end(), *taken) == 1;
  });
  if (!all) {
    notes.push_back(
        fmt::format("{}: nodes of ARM before v7 do not take this image, and no label "
                    "tells them apart",
                    placed.str()));
  }
}

/// @param agreement has an entry
Result<PlacedPlatform> placed_by(const Images& images, const NodePlatform& platform,
                                 const Agreement& agreement, std::vector<std::string>& notes) {
  const std::size_t first = *agreement.entries.begin();
  PlacedPlatform placed{.os = platform.first,
                        .architecture = platform.second,
                        .entries = {agreement.entries.begin(), agreement.entries.end()},
                        .image = images.at(first),
                        .image_platform = images.platform_of(first),
                        .requirements = images.facts.at(first).requirements};
  for (const std::size_t entry : placed.entries) {
    if (manifest::is_index_type(images.at(entry).media_type)) {
      return fail(ErrorCode::unsupported,
                  fmt::format("what {} takes, {}, is a list within the list", shown(platform),
                              images.at(entry).digest.str()),
                  "place the inner list: NAME@DIGEST");
    }
  }
  if (placed.entries.size() == 1) {
    return placed;
  }
  const Needs needs = needs_of(placed);
  for (const std::size_t other : placed.entries) {
    if (needs_of(images.facts.at(other).requirements, images.platform_of(other)) != needs) {
      return fail(
          ErrorCode::unsupported,
          fmt::format("nodes of {} take {} or {}, by their runtime and processor, and these "
                      "need different nodes",
                      shown(platform), placed.image.digest.str(), images.at(other).digest.str()),
          "name the runtime of the cluster with --runtime, or give the list one image for "
          "each platform");
    }
    if (other != first) {
      placed.others.push_back({images.at(other), images.platform_of(other)});
    }
  }
  notes.push_back(
      fmt::format("{}: not all nodes take the same image (fnimage resolve --all-runtimes says why)",
                  shown(platform)));
  return placed;
}

const std::vector<Runtime>& runtimes_for(const Runtimes& runtimes, const NodePlatform& platform) {
  const auto found = runtimes.of.find(platform.first + "/" + platform.second);
  return found == runtimes.of.end() ? runtimes.all : found->second;
}

/// The platforms of `options`, checked.
Result<std::set<NodePlatform>> asked_of(const Options& options) {
  std::set<NodePlatform> asked;
  for (const Platform& platform : options.platforms) {
    const Platform wanted = manifest::normalize(platform);
    if (wanted.variant != default_platform(wanted.os, wanted.architecture).variant) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{}: nodes have no label for the variant of an architecture",
                              printable(platform.str(), 100)),
                  fmt::format("write {}/{}; levels of a processor are asked for in the image's "
                              "requirements",
                              printable(wanted.os, 40), printable(wanted.architecture, 40)));
    }
    asked.emplace(wanted.os, wanted.architecture);
  }
  return asked;
}

std::string names_of(const std::vector<std::string>& names) {
  constexpr std::size_t most = 4;
  if (names.size() <= most) {
    return join(names, ", ");
  }
  const std::vector<std::string> shown(names.begin(), names.begin() + most);
  return fmt::format("{} and {} more", join(shown, ", "), names.size() - most);
}

Result<std::vector<PlacedPlatform>> placed_platforms(const Images& images, const Options& options,
                                                     std::vector<std::string>& notes) {
  FNIMAGE_TRY(const std::set<NodePlatform> asked, asked_of(options));
  std::vector<PlacedPlatform> all;
  const std::map<NodePlatform, bool> candidates = node_platforms_of(images, notes);
  if (candidates.size() > max_node_platforms) {
    return fail(ErrorCode::unsupported,
                fmt::format("the list is for more than {} platforms", max_node_platforms));
  }
  for (const auto& [platform, is_named] : candidates) {
    if (!asked.empty() && !asked.contains(platform)) {
      continue;
    }
    const std::vector<Runtime>& runtimes = runtimes_for(options.runtimes, platform);
    const Agreement agreement = agreement_on(images, runtimes, platform);
    if (!agreement.refusers.empty() || agreement.takers.empty()) {
      // Fallbacks of older runtimes are worth no word: nobody counts on them.
      if (is_named) {
        notes.push_back(fmt::format("{} is left out: {} would take nothing of the list there",
                                    shown(platform), names_of(agreement.refusers)));
      }
      continue;
    }
    FNIMAGE_TRY(PlacedPlatform placed, placed_by(images, platform, agreement, notes));
    note_versions_of_arm(images, runtimes, placed, notes);
    all.push_back(std::move(placed));
  }
  for (const NodePlatform& platform : asked) {
    const bool found = std::any_of(all.begin(), all.end(), [&](const PlacedPlatform& placed) {
      return NodePlatform(placed.os, placed.architecture) == platform;
    });
    if (!found) {
      return fail(ErrorCode::platform_mismatch,
                  fmt::format("nodes of {} take nothing of this image{}{}", shown(platform),
                              notes.empty() ? "" : ": ", join(notes, "; ")),
                  "fnimage resolve --platform P --all-runtimes says why");
    }
  }
  return all;
}

tl::unexpected<Error> refuse_one_pod(const PlacedPlatform& a, const PlacedPlatform& b,
                                     const std::string& what) {
  return fail(ErrorCode::unsupported,
              fmt::format("one pod cannot be for both {} and {}: {}", a.str(), b.str(), what),
              fmt::format("place them apart: --platform {}, and again with --platform {}", a.str(),
                          b.str()));
}

/// A node has so much of them that nobody counts devices by it: the largest need serves all.
bool is_measured(const std::string& resource) {
  return resource == "cpu" || resource == "memory";
}

Result<bool> is_larger(const std::string& a, const std::string& b) {
  constexpr std::uint64_t thousandths = 1000;
  FNIMAGE_TRY(const std::uint64_t first, node::parse_quantity(a, thousandths));
  FNIMAGE_TRY(const std::uint64_t second, node::parse_quantity(b, thousandths));
  return first > second;
}

/// Devices that one platform needs and another does not would keep the pod off the other's nodes.
Result<void> check_same_devices(const PlacedPlatform& a, const PlacedPlatform& b) {
  const auto first = needs_of(a).resources;
  const auto second = needs_of(b).resources;
  for (const auto& [name, amount] : first) {
    const auto other = second.find(name);
    if (!is_measured(name) && (other == second.end() || other->second != amount)) {
      return refuse_one_pod(
          a, b,
          fmt::format("the first needs {} of {}, the second {}", amount, name,
                      other == second.end() ? std::string("none") : other->second));
    }
  }
  return {};
}

Result<void> join_resources(Placement& placement) {
  std::set<std::string> differing;
  for (const PlacedPlatform& placed : placement.platforms) {
    FNIMAGE_CHECK(check_same_devices(placement.platforms.front(), placed));
    FNIMAGE_CHECK(check_same_devices(placed, placement.platforms.front()));
    for (const auto& [name, amount] : needs_of(placed).resources) {
      const auto [place, is_new] = placement.resources.emplace(name, amount);
      FNIMAGE_TRY(const bool larger, is_larger(amount, place->second));
      place->second = larger ? amount : place->second;
    }
  }
  for (const PlacedPlatform& placed : placement.platforms) {
    const auto own = needs_of(placed).resources;
    for (const auto& [name, amount] : placement.resources) {
      if (!own.contains(name) || own.at(name) != amount) {
        differing.insert(name);
      }
    }
  }
  for (const std::string& name : differing) {
    placement.notes.push_back(fmt::format(
        "platforms need different amounts of {}; a pod has one, the largest ({}): nodes "
        "with less stay out even where the image needs less",
        name, placement.resources.at(name)));
  }
  return {};
}

bool has(const std::vector<Toleration>& tolerations, const Toleration& wanted) {
  return std::find(tolerations.begin(), tolerations.end(), wanted) != tolerations.end();
}

/// Whether tolerating it changes anything on nodes of that architecture: nodes that are set apart
/// by their architecture bear their own.
bool matters_on(const PlacedPlatform& placed, const Toleration& toleration) {
  return toleration.key != architecture_label || toleration.value.empty() ||
         toleration.value == placed.architecture;
}

Result<void> join_tolerations(Placement& placement) {
  for (const PlacedPlatform& placed : placement.platforms) {
    for (const Toleration& toleration : needs_of(placed).tolerations) {
      for (const PlacedPlatform& other : placement.platforms) {
        if (matters_on(other, toleration) && !has(needs_of(other).tolerations, toleration)) {
          return refuse_one_pod(
              placed, other,
              fmt::format("the first tolerates the taint {}{}{}, the second does not",
                          toleration.key, toleration.value.empty() ? "" : "=", toleration.value));
        }
      }
      if (!has(placement.tolerations, toleration)) {
        placement.tolerations.push_back(toleration);
      }
    }
  }
  return {};
}

/// Several lists of values of one label are their intersection. Nullopt: nothing can match.
std::optional<Term> simplified(const Term& term) {
  Term simple;
  for (const Expression& expression : term) {
    const auto same = std::find_if(simple.begin(), simple.end(), [&](const Expression& other) {
      return other.key == expression.key && other.op == Operator::in;
    });
    if (expression.op != Operator::in || same == simple.end()) {
      simple.push_back(expression);
      continue;
    }
    std::erase_if(same->values, [&](const std::string& value) {
      return std::find(expression.values.begin(), expression.values.end(), value) ==
             expression.values.end();
    });
    if (same->values.empty()) {
      return std::nullopt;
    }
  }
  return simple;
}

using Architectures = std::vector<std::string>;

/// os -> architectures, and then os values of the same architectures together: each a pair of both
/// lists of values.
std::vector<std::pair<std::vector<std::string>, Architectures>> merged(
    const std::set<NodePlatform>& platforms) {
  std::map<std::string, Architectures> by_os;
  for (const auto& [os, architecture] : platforms) {
    by_os[os].push_back(architecture);
  }
  std::vector<std::pair<std::vector<std::string>, Architectures>> all;
  for (const auto& [os, architectures] : by_os) {
    const auto same =
        std::find_if(all.begin(), all.end(),
                     [&values = architectures](const auto& one) { return one.second == values; });
    if (same == all.end()) {
      all.push_back({{os}, architectures});
    } else {
      same->first.push_back(os);
    }
  }
  return all;
}

/// Platforms that need the same labels come together.
Result<void> join_terms(Placement& placement) {
  std::vector<std::pair<Term, std::set<NodePlatform>>> groups;
  for (const PlacedPlatform& placed : placement.platforms) {
    for (const Term& term : needs_of(placed).terms) {
      const auto same = std::find_if(groups.begin(), groups.end(),
                                     [&](const auto& group) { return group.first == term; });
      auto& group =
          same == groups.end() ? groups.emplace_back(term, std::set<NodePlatform>()) : *same;
      group.second.emplace(placed.os, placed.architecture);
    }
  }
  for (const auto& [labels, platforms] : groups) {
    for (const auto& [systems, architectures] : merged(platforms)) {
      Term term{{std::string(os_label), Operator::in, systems},
                {std::string(architecture_label), Operator::in, architectures}};
      term.insert(term.end(), labels.begin(), labels.end());
      if (auto simple = simplified(term)) {
        placement.terms.push_back(std::move(*simple));
      }
    }
  }
  if (placement.terms.empty()) {
    return fail(ErrorCode::platform_mismatch,
                "no node can have all the labels that this image needs",
                "its requirements contradict its platform; look at `near`");
  }
  return {};
}

Result<Placement> place_images(const Images& images, const Options& options) {
  if (options.runtimes.all.empty() && options.runtimes.of.empty()) {
    return fail(ErrorCode::invalid_argument, "no container runtime is given");
  }
  Placement placement;
  FNIMAGE_TRY(placement.platforms, placed_platforms(images, options, placement.notes));
  if (placement.platforms.empty()) {
    return fail(ErrorCode::platform_mismatch,
                fmt::format("no node takes anything of this image{}{}",
                            placement.notes.empty() ? "" : ": ", join(placement.notes, "; ")),
                "fnimage resolve --platform P --all-runtimes says why");
  }
  FNIMAGE_CHECK(join_resources(placement));
  FNIMAGE_CHECK(join_tolerations(placement));
  FNIMAGE_CHECK(join_terms(placement));
  return placement;
}

}  // namespace

Runtimes usual_runtimes() {
  Runtimes usual;
  for (const Runtime& runtime : manifest::known_runtimes()) {
    if (runtime.kind == manifest::RuntimeKind::containerd ||
        runtime.kind == manifest::RuntimeKind::crio) {
      usual.all.push_back(runtime);
    }
  }
  return usual;
}

Runtimes runtimes_of(const std::vector<node::Node>& nodes) {
  Runtimes runtimes;
  const auto add = [](std::vector<Runtime>& all, const Runtime& runtime) {
    if (std::find(all.begin(), all.end(), runtime) == all.end()) {
      all.push_back(runtime);
    }
  };
  for (const node::Node& node : nodes) {
    const Platform platform = manifest::normalize(node.machine.platform);
    add(runtimes.all, node.runtime);
    add(runtimes.of[platform.os + "/" + platform.architecture], node.runtime);
  }
  return runtimes;
}

Result<Placement> place(const manifest::Index& list, const std::vector<ImageFacts>& facts,
                        const Options& options) {
  if (facts.size() != list.manifests.size()) {
    return fail(ErrorCode::invalid_argument, "there is not one set of facts for each entry");
  }
  return place_images({.list = &list, .facts = facts}, options);
}

Result<Placement> place(const manifest::Descriptor& image, const ImageFacts& facts,
                        const Options& options) {
  const std::vector<ImageFacts> only{facts};
  return place_images({.descriptors = {image}, .facts = only}, options);
}

}  // namespace fnimage::place
