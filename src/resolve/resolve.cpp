// Answers for nodes, see the header.
#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/resolve/resolve.hpp>

#include "linked.hpp"

namespace fnimage::resolve {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::RuntimeKind;

constexpr std::size_t max_verdicts = 2'000'000;

/// The different kinds of nodes, and which of them each node is.
struct Kinds {
  std::vector<Kind> kinds{};
  std::vector<std::size_t> of_node{};
};

Kinds kinds_of(const std::vector<node::Node>& nodes) {
  using Key = std::tuple<std::string, std::string, std::vector<std::string>, std::string,
                         RuntimeKind, unsigned, unsigned>;
  Kinds kinds;
  std::map<Key, std::size_t> known;
  for (const node::Node& node : nodes) {
    const manifest::Platform& platform = node.machine.platform;
    const Key key{platform.str(),           platform.os_version, platform.os_features,
                  node.machine.cpu_variant, node.runtime.kind,   node.runtime.major,
                  node.runtime.minor};
    const auto [place, is_new] = known.emplace(key, kinds.kinds.size());
    if (is_new) {
      kinds.kinds.push_back({.machine = node.machine, .runtime = node.runtime});
    }
    kinds.of_node.push_back(place->second);
  }
  return kinds;
}

using Blobs = std::map<Digest, std::uint64_t>;

/// Config and layers of all images that are downloaded.
Blobs blobs_of(const Taking& taking, const Tree& tree) {
  Blobs blobs;
  for (const Digest& digest : taking.pulled) {
    const Part* part = tree.find(digest);
    if (part != nullptr && part->image) {
      for (const Blob& blob : part->image->blobs) {
        blobs.emplace(blob.digest, blob.size);
      }
    }
  }
  return blobs;
}

std::uint64_t total_of(const Blobs& blobs) {
  std::uint64_t total = 0;
  for (const auto& [digest, size] : blobs) {
    total = saturated_sum(total, size);
  }
  return total;
}

/// The tag that push gives an entry of the list besides; empty when there cannot be one.
std::string platform_tag(const registry::ImageStore& store, const std::string& tag,
                         const Descriptor& entry) {
  if (tag.empty() || !entry.platform || !manifest::is_valid_tag(entry.platform->tag_suffix())) {
    return {};
  }
  std::string name = tag + "-" + entry.platform->tag_suffix();
  // Names of a layout are no tags.
  return store.repository() && !manifest::is_valid_tag(name) ? std::string() : name;
}

/// @param askers nodes, or kinds of them, that get a verdict on every entry.
Result<LinkedDocuments> read_within_limits(registry::ImageStore& store,
                                           const manifest::Document& document,
                                           const std::string& tag, bool with_variants,
                                           std::size_t askers, WorkerPool& pool) {
  FNIMAGE_TRY(LinkedDocuments documents, read_linked(store, document, tag, with_variants, pool));
  if (askers > max_verdicts / std::max<std::size_t>(1, documents.entries)) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} nodes and {} entries are too many to answer at once", askers,
                            documents.entries),
                "ask for fewer nodes");
  }
  return documents;
}

/// What nodes may have in common: the variant, and the kind.
using Place = std::pair<std::optional<std::size_t>, std::size_t>;

/// The tags that stand for exactly what is taken.
class PlatformTags {
 public:
  PlatformTags(registry::ImageStore& store, std::string tag)
      : store_(store), tag_(std::move(tag)) {}

  void add(const Place& place, const Linked& image) {
    const Taking& taking = image.taking(place.first, place.second);
    const std::string& of = place.first ? image.variants()[*place.first].tag : tag_;
    if (!taking.found.is_taken() || names_.contains(place)) {
      return;
    }
    if (!taking.list) {
      names_[place] = tag_;
      return;
    }
    const std::string name =
        platform_tag(store_, of, taking.list->manifests.at(*taking.found.entry()));
    names_[place] = name;
    if (!name.empty()) {
      found_.emplace(name, std::nullopt);
    }
  }

  Result<void> find(WorkerPool& pool) {
    TaskGroup group(pool);
    for (auto& [name, descriptor] : found_) {
      group.run([this, &name = name, &descriptor = descriptor]() -> Result<void> {
        FNIMAGE_TRY(descriptor, store_.resolve(name));
        return {};
      });
    }
    return group.wait();
  }

  /// Empty when there is none.
  [[nodiscard]] std::string of(const Place& place, const Digest& taken) const {
    const auto name = names_.find(place);
    if (name == names_.end()) {
      return {};
    }
    const auto found = found_.find(name->second);
    const bool is_it = found == found_.end() || (found->second && found->second->digest == taken);
    return is_it ? name->second : std::string();
  }

 private:
  registry::ImageStore& store_;
  std::string tag_;
  std::map<Place, std::string> names_;
  std::map<std::string, std::optional<Descriptor>> found_;
};

/// What nodes have to download, without what they have.
class PullSizes {
 public:
  explicit PullSizes(const Linked& image) : image_(image) {}

  Result<void> add_held(const HeldImage& held, const std::vector<Kind>& kinds, bool with_variants,
                        WorkerPool& pool) {
    FNIMAGE_TRY(const manifest::Document root, held.store->get_manifest(held.selector));
    const auto* tag = std::get_if<std::string>(&held.selector);
    FNIMAGE_TRY(LinkedDocuments documents,
                read_within_limits(*held.store, root, tag == nullptr ? std::string() : *tag,
                                   with_variants, kinds.size(), pool));
    FNIMAGE_TRY(held_.emplace_back(), Linked::read(*held.store, std::move(documents), kinds, pool));
    return {};
  }

  [[nodiscard]] std::uint64_t of(const Place& place, const node::Node& node) {
    std::vector<Place> key{place};
    for (const Linked& held : held_) {
      key.emplace_back(held.choose(node).variant, place.second);
    }
    const auto [size, is_new] = sizes_.emplace(key, 0);
    if (is_new) {
      size->second = size_of(key);
    }
    return size->second;
  }

 private:
  static Blobs blobs_in(const Linked& image, const Place& place) {
    return blobs_of(image.taking(place.first, place.second), image.tree(place.first));
  }

  [[nodiscard]] std::uint64_t size_of(const std::vector<Place>& places) const {
    Blobs wanted = blobs_in(image_, places.front());
    for (std::size_t i = 0; i < held_.size(); ++i) {
      for (const auto& [digest, size] : blobs_in(held_[i], places[i + 1])) {
        wanted.erase(digest);
      }
    }
    return total_of(wanted);
  }

  const Linked& image_;
  std::vector<Linked> held_;
  std::map<std::vector<Place>, std::uint64_t> sizes_;
};

/// Why a node takes nothing of a list, or passes a variant over.
std::string reason_against(const Taking& taking, const node::Node& node, bool is_variant) {
  if (!taking.found.is_taken()) {
    return taking.reason;
  }
  const Asked& asked = *taking.found.asked;
  if (!asked.problem.empty()) {
    return fmt::format("{}: {}", taking.found.taken->digest.str(), asked.problem);
  }
  require::Fit fit = asked.needs.fit(node);
  if (is_variant) {
    std::move(fit.unknown.begin(), fit.unknown.end(), std::back_inserter(fit.lacks));
  }
  return fmt::format("the node {}", join(fit.lacks, "; "));
}

std::vector<PassedVariant> passed_over(const Linked& image, const Choice& choice, std::size_t kind,
                                       const node::Node& node) {
  std::vector<PassedVariant> passed;
  const std::size_t end = choice.variant.value_or(image.variants().size());
  for (std::size_t i = 0; i < end; ++i) {
    const Variant& variant = image.variants()[i];
    passed.push_back({variant.suffix, variant.tree
                                          ? reason_against(image.taking(i, kind), node, true)
                                          : variant.problem});
  }
  return passed;
}

Answer answer_of(const Linked& image, const Choice& choice, std::size_t kind,
                 const node::Node& node) {
  const Taking& taking = image.taking(choice.variant, kind);
  Answer answer{.node = node.name,
                .machine = node.machine,
                .runtime = node.runtime,
                .outcome = choice.outcome,
                .variant = choice.variant ? image.variants()[*choice.variant].suffix : "",
                .passed = passed_over(image, choice, kind, node),
                .list = taking.list,
                .choice = taking.choice,
                .warnings = taking.warnings};
  answer.warnings.insert(answer.warnings.end(), image.warnings().begin(), image.warnings().end());
  if (!choice) {
    answer.reason = reason_against(taking, node, false);
    return answer;
  }
  answer.taken = *choice.image;
  if (choice.requirements != nullptr) {
    answer.requirements = *choice.requirements;
  }
  if (choice.is_unsure) {
    for (const std::string& unknown : taking.found.asked->needs.fit(node).unknown) {
      answer.warnings.push_back("the node " + unknown);
    }
  }
  return answer;
}

}  // namespace

Result<std::vector<Answer>> resolve(registry::ImageStore& store, const manifest::Document& document,
                                    const std::vector<node::Node>& nodes, const Options& options,
                                    WorkerPool& pool) {
  const Kinds kinds = kinds_of(nodes);
  FNIMAGE_TRY(LinkedDocuments documents, read_within_limits(store, document, options.tag,
                                                            options.variants, nodes.size(), pool));
  FNIMAGE_TRY(const Linked image, Linked::read(store, std::move(documents), kinds.kinds, pool));
  PlatformTags tags(store, options.tag);
  PullSizes sizes(image);
  std::vector<Choice> choices;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    choices.push_back(image.choose(nodes[i]));
    tags.add({choices[i].variant, kinds.of_node[i]}, image);
  }
  FNIMAGE_CHECK(tags.find(pool));
  for (const HeldImage& held : options.held) {
    FNIMAGE_CHECK(sizes.add_held(held, kinds.kinds, options.variants, pool));
  }
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Place place{choices[i].variant, kinds.of_node[i]};
    Answer& answer = answers.emplace_back(answer_of(image, choices[i], kinds.of_node[i], nodes[i]));
    if (answer.taken) {
      answer.tag = tags.of(place, answer.taken->digest);
      answer.pull_size = sizes.of(place, nodes[i]);
    }
  }
  return answers;
}

std::vector<node::Node> with_runtimes(const std::vector<node::Node>& nodes,
                                      const std::vector<manifest::Runtime>& runtimes) {
  if (runtimes.empty()) {
    return nodes;
  }
  std::vector<node::Node> all;
  for (const node::Node& node : nodes) {
    for (const manifest::Runtime& runtime : runtimes) {
      all.push_back(node);
      all.back().runtime = runtime;
    }
  }
  return all;
}

}  // namespace fnimage::resolve
