// Answers for nodes, see the header.
#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/platform_match.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/resolve/resolve.hpp>

#include "taking.hpp"

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
Blobs blobs_of(const Taking& taking, const Follower& follower) {
  Blobs blobs;
  for (const Digest& digest : taking.pulled) {
    if (const ReadImage* image = follower.image(digest)) {
      blobs.emplace(image->manifest.config.digest, image->manifest.config.size);
      for (const Descriptor& layer : image->manifest.layers) {
        blobs.emplace(layer.digest, layer.size);
      }
    }
  }
  return blobs;
}

std::uint64_t total_of(const Blobs& blobs) {
  std::uint64_t total = 0;
  for (const auto& [digest, size] : blobs) {
    total = size > std::numeric_limits<std::uint64_t>::max() - total
                ? std::numeric_limits<std::uint64_t>::max()
                : total + size;
  }
  return total;
}

/// Whether the machine runs programs of that platform; the levels of a processor aside.
bool can_run(const manifest::NodeMachine& machine, const manifest::Platform& platform) {
  const manifest::Platform wanted = manifest::normalize(platform);
  const auto compatible = manifest::compatible_platforms(machine.platform);
  return std::any_of(compatible.begin(), compatible.end(), [&](const manifest::Platform& one) {
    return one.os == wanted.os && one.architecture == wanted.architecture;
  });
}

bool asks_config(const manifest::Runtime& runtime) noexcept {
  return runtime.kind == RuntimeKind::containerd ||
         runtime.kind == RuntimeKind::containerd_client ||
         runtime.kind == RuntimeKind::docker_containerd;
}

/// What the config says against the node. An entry that names no platform is judged by it.
void judge_config(Taking& taking, const ReadImage& image, const Kind& kind) {
  if (!image.config) {
    taking.warnings.push_back(fmt::format("it is an artifact of type {}, which does not run",
                                          printable(image.manifest.config.media_type, 100)));
    return;
  }
  const bool is_single = !taking.entry;
  if (!image.config->has_platform()) {
    taking.warnings.emplace_back("its config names no platform");
    return;
  }
  if (can_run(kind.machine, image.config->platform)) {
    return;
  }
  const std::string says =
      fmt::format("its config says {}", printable(image.config->platform.str(), 100));
  if (is_single) {
    taking.warnings.push_back(
        fmt::format("{}, and the node is {}: it is pulled and does not start (exec format error)",
                    says, kind.machine.platform.str()));
  } else if (!taking.entry->platform && asks_config(kind.runtime)) {
    taking.reason = fmt::format("{} names no platform, and {}", taking.taken->digest.str(), says);
    taking.taken.reset();
  } else {
    taking.warnings.push_back(says);
  }
}

void judge_configs(std::vector<Taking>& takings, const Follower& follower,
                   const std::vector<Kind>& kinds) {
  for (std::size_t i = 0; i < takings.size(); ++i) {
    Taking& taking = takings[i];
    if (!taking.taken) {
      continue;
    }
    if (!taking.choice) {
      taking.warnings.emplace_back("it is no list: pulled whatever platform the node has");
    }
    if (const ReadImage* image = follower.image(taking.taken->digest)) {
      judge_config(taking, *image, kinds[i]);
    }
  }
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

/// The tags that stand for exactly what is taken, for each kind.
Result<std::vector<std::string>> find_tags(registry::ImageStore& store, const std::string& tag,
                                           const std::vector<Taking>& takings, WorkerPool& pool) {
  std::map<std::string, std::optional<Descriptor>> found;
  std::vector<std::string> names;
  for (const Taking& taking : takings) {
    const bool is_listed = taking.taken && taking.entry;
    names.push_back(is_listed ? platform_tag(store, tag, *taking.entry) : std::string());
    if (!names.back().empty()) {
      found.emplace(names.back(), std::nullopt);
    }
  }
  TaskGroup group(pool);
  for (auto& [name, descriptor] : found) {
    group.run([&store, &name = name, &descriptor = descriptor]() -> Result<void> {
      FNIMAGE_TRY(descriptor, store.resolve(name));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  for (std::size_t i = 0; i < takings.size(); ++i) {
    if (takings[i].taken && !takings[i].entry) {
      names[i] = tag;
    } else if (!names[i].empty() &&
               (!found.at(names[i]) || found.at(names[i])->digest != takings[i].taken->digest)) {
      names[i].clear();
    }
  }
  return names;
}

/// What each kind has to download, without what it has.
Result<std::vector<std::uint64_t>> pull_sizes(const std::vector<Taking>& takings,
                                              const Follower& follower, const Options& options,
                                              const std::vector<Kind>& kinds, WorkerPool& pool) {
  std::vector<Blobs> wanted;
  wanted.reserve(takings.size());
  for (const Taking& taking : takings) {
    wanted.push_back(blobs_of(taking, follower));
  }
  for (const HeldImage& held : options.held) {
    FNIMAGE_TRY(const manifest::Document root, held.store->get_manifest(held.selector));
    Follower held_follower(*held.store, pool);
    FNIMAGE_TRY(const std::vector<Taking> has, held_follower.follow(root, kinds));
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      for (const auto& [digest, size] : blobs_of(has[i], held_follower)) {
        wanted[i].erase(digest);
      }
    }
  }
  std::vector<std::uint64_t> sizes;
  for (std::size_t i = 0; i < takings.size(); ++i) {
    sizes.push_back(takings[i].taken ? total_of(wanted[i]) : 0);
  }
  return sizes;
}

Result<void> check_amount(const manifest::Document& document, std::size_t nodes) {
  if (!document.is_index()) {
    return {};
  }
  FNIMAGE_TRY(const manifest::Index index, document.index());
  if (nodes > max_verdicts / std::max<std::size_t>(1, index.manifests.size())) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} nodes and {} entries are too many to answer at once", nodes,
                            index.manifests.size()),
                "ask for fewer nodes");
  }
  return {};
}

}  // namespace

Result<std::vector<Answer>> resolve(registry::ImageStore& store, const manifest::Document& document,
                                    const std::vector<node::Node>& nodes, const Options& options,
                                    WorkerPool& pool) {
  FNIMAGE_CHECK(check_amount(document, nodes.size()));
  const Kinds kinds = kinds_of(nodes);
  Follower follower(store, pool);
  FNIMAGE_TRY(std::vector<Taking> takings, follower.follow(document, kinds.kinds));
  FNIMAGE_CHECK(follower.read_configs());
  judge_configs(takings, follower, kinds.kinds);
  FNIMAGE_TRY(const std::vector<std::string> tags, find_tags(store, options.tag, takings, pool));
  FNIMAGE_TRY(const std::vector<std::uint64_t> sizes,
              pull_sizes(takings, follower, options, kinds.kinds, pool));
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::size_t kind = kinds.of_node[i];
    const Taking& taking = takings[kind];
    answers.push_back({.node = nodes[i].name,
                       .machine = nodes[i].machine,
                       .runtime = nodes[i].runtime,
                       .choice = taking.choice,
                       .taken = taking.taken,
                       .reason = taking.reason,
                       .warnings = taking.warnings,
                       .tag = tags[kind],
                       .pull_size = sizes[kind]});
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
