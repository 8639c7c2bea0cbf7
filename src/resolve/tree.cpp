// See the header. Level by level: what the nodes, or all of them, may take is read at once.
#include "tree.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/platform_match.hpp>

namespace fnimage::resolve {

namespace {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;
using manifest::RuntimeKind;

/// What a parsed document takes in memory for each of its bytes, and what each part takes besides.
constexpr std::size_t memory_per_byte = 4;
constexpr std::size_t memory_of_part = 1024;
constexpr std::size_t memory_of_blob = 2 * sizeof(Blob) + 80;

AskedPtr asked_by(const manifest::Annotations& annotations, const manifest::Platform& platform,
                  const std::string& what) {
  if (!annotations.contains(std::string(require::requires_annotation))) {
    return nullptr;
  }
  const auto requirements = require::requirements_of(annotations, what);
  if (!requirements) {
    return std::make_shared<const Asked>(
        Asked{{},
              require::Needs({}, platform),
              "its requirements are not understood: " + printable(requirements.error().message())});
  }
  return requirements->empty() ? nullptr
                               : std::make_shared<const Asked>(Asked{
                                     *requirements, require::Needs(*requirements, platform), {}});
}

ListPart list_part(manifest::Index index, const std::string& what) {
  ListPart part{.index = std::move(index)};
  for (const Descriptor& entry : part.index.manifests) {
    part.asked.push_back(asked_by(entry.annotations, entry.platform.value_or(manifest::Platform{}),
                                  entry.digest.str()));
  }
  auto variants = require::variants_of(part.index.annotations, what);
  if (!variants) {
    part.variants_problem = printable(variants.error().message());
  } else if (variants->size() > max_variants) {
    part.variants_problem =
        fmt::format("{}: {}: more than {}", what, require::variants_annotation, max_variants);
  } else {
    part.variants = std::move(*variants);
  }
  return part;
}

ImagePart image_part(const manifest::ImageManifest& image) {
  ImagePart part;
  std::set<Digest> seen;
  const auto add = [&](const Descriptor& blob) {
    if (seen.insert(blob.digest).second) {
      part.blobs.push_back({blob.digest, blob.size});
      part.pull_size = saturated_sum(part.pull_size, blob.size);
    }
  };
  add(image.config);
  std::for_each(image.layers.begin(), image.layers.end(), add);
  return part;
}

Result<void> read_image(Part& part, const manifest::ImageManifest& image,
                        registry::ImageStore& store) {
  ImagePart& out = part.image.emplace(image_part(image));
  if (manifest::is_config_type(image.config.media_type)) {
    auto config = registry::read_config(store, image.config);
    if (!config && is_fault_of_content(config.error())) {
      part.problem =
          fmt::format("has no config that is usable: {}", printable(config.error().describe()));
      return {};
    }
    FNIMAGE_CHECK(config);
    if (config->has_platform()) {
      out.platform = manifest::normalize(config->platform);
    }
  } else {
    out.artifact_type = printable(image.config.media_type, 100);
  }
  out.asked = asked_by(image.annotations, out.platform.value_or(manifest::Platform{}),
                       part.descriptor.digest.str());
  return {};
}

PartPtr broken_part(Descriptor descriptor, std::string problem) {
  return std::make_shared<const Part>(Part{.descriptor = std::move(descriptor),
                                           .problem = std::move(problem),
                                           .memory = memory_of_part});
}

/// Whether the machine runs programs of that platform, which is in normal form; the levels of a
/// processor aside.
bool can_run(const manifest::NodeMachine& machine, const manifest::Platform& wanted) {
  const auto is_same = [&](const manifest::Platform& one) {
    return one.os == wanted.os && one.architecture == wanted.architecture;
  };
  if (is_same(machine.platform)) {
    return true;  // nearly always, and without allocating
  }
  const auto compatible = manifest::compatible_platforms(machine.platform);
  return std::any_of(compatible.begin(), compatible.end(), is_same);
}

bool asks_config(const manifest::Runtime& runtime) noexcept {
  return runtime.kind == RuntimeKind::containerd ||
         runtime.kind == RuntimeKind::containerd_client ||
         runtime.kind == RuntimeKind::docker_containerd;
}

/// What the config says against the node. An entry that names no platform is judged by it.
void judge_config(Found& found, const manifest::Runtime& runtime,
                  const manifest::NodeMachine& machine) {
  const ImagePart& image = *found.part->image;
  if (!image.platform || can_run(machine, *image.platform)) {
    return;
  }
  found.is_foreign = true;
  if (found.depth == 0) {
    return;
  }
  const Found::Step& first = found.steps[0];
  if (!first.list->index.manifests[*first.taken].platform && asks_config(runtime)) {
    found.trouble = Found::Trouble::other_platform;
  }
}

bool may_be_taken(const Descriptor& entry) noexcept {
  return !entry.platform ||
         (entry.platform->os != "unknown" && entry.platform->architecture != "unknown");
}

/// What a Found comes to for one node.
Choice choice_of(const Found& found) noexcept {
  Choice choice;
  choice.entry = found.entry();
  if (found.trouble == Found::Trouble::no_match ||
      found.trouble == Found::Trouble::other_platform) {
    return choice;
  }
  if (!found.is_taken() || (found.asked != nullptr && !found.asked->problem.empty())) {
    choice.outcome = Choice::Outcome::broken;
    return choice;
  }
  choice.outcome = Choice::Outcome::taken;
  choice.image = found.taken;
  choice.requirements = found.asked == nullptr ? nullptr : &found.asked->requirements;
  choice.is_foreign = found.is_foreign;
  choice.pull_size = found.part->image->pull_size;
  return choice;
}

}  // namespace

std::uint64_t saturated_sum(std::uint64_t a, std::uint64_t b) noexcept {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return b > most - a ? most : a + b;
}

bool is_fault_of_content(const Error& error) noexcept {
  return error.code() == ErrorCode::not_found || error.code() == ErrorCode::invalid_input ||
         error.code() == ErrorCode::unsupported;
}

Result<PartPtr> part_of(const Document& document, registry::ImageStore& store) {
  Part part{.descriptor = document.descriptor()};
  const std::string& what = part.descriptor.digest.str();
  part.memory = memory_of_part;
  if (document.is_index()) {
    auto index = document.index();
    if (!index) {
      return broken_part(document.descriptor(),
                         "is broken: " + printable(index.error().describe()));
    }
    part.list = list_part(std::move(*index), what);
    part.memory += memory_per_byte * document.bytes().size();
  } else if (document.is_image()) {
    const auto image = document.image();
    if (!image) {
      return broken_part(document.descriptor(),
                         "is broken: " + printable(image.error().describe()));
    }
    FNIMAGE_CHECK(read_image(part, *image, store));
    part.memory += memory_of_blob * part.image->blobs.size();
    if (part.image->asked) {
      part.memory += memory_of_part;
    }
  } else {
    part.problem =
        fmt::format("is no image, but of type {}", printable(document.media_type(), 100));
  }
  return std::make_shared<const Part>(std::move(part));
}

Result<PartPtr> read_part(registry::ImageStore& store, const Digest& digest) {
  const auto document = store.get_manifest(digest);
  if (document) {
    return part_of(*document, store);
  }
  const Descriptor unknown{.media_type = {}, .digest = digest};
  if (document.error().code() == ErrorCode::not_found) {
    return broken_part(unknown, "is missing");
  }
  if (is_fault_of_content(document.error())) {
    return broken_part(unknown, "is broken: " + printable(document.error().describe()));
  }
  return fail(document.error());
}

Result<void> check_root(const Part& root) {
  if (root.list || root.image) {
    return {};
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("{} {}", root.descriptor.digest.str(), root.problem));
}

const Part* Tree::find(const Digest& digest) const {
  const auto place = places_.find(digest);
  return place == places_.end() ? nullptr : items_[place->second].part.get();
}

Found Tree::find_for(const manifest::Runtime& runtime,
                     const manifest::NodeMachine& machine) const noexcept {
  Found found;
  const Item* item = &items_.front();
  found.part = item->part.get();
  found.taken = &found.part->descriptor;
  while (found.part->list) {
    if (found.depth == Found::max_nesting) {
      found.trouble = Found::Trouble::nested_too_deep;
      return found;
    }
    const ListPart& list = *found.part->list;
    Found::Step& step = found.steps[found.depth++];
    step = {&list, manifest::taken_by(list.index, runtime, machine)};
    if (!step.taken) {
      found.trouble = Found::Trouble::no_match;
      return found;
    }
    found.taken = &list.index.manifests[*step.taken];
    if (found.asked == nullptr) {
      found.asked = list.asked[*step.taken].get();
    }
    const std::uint32_t child = item->children[*step.taken];
    if (child == not_read) {
      found.part = nullptr;
      found.trouble = Found::Trouble::unread;
      return found;
    }
    item = &items_[child];
    found.part = item->part.get();
  }
  if (!found.part->problem.empty()) {
    found.trouble = Found::Trouble::broken;
    return found;
  }
  if (found.asked == nullptr) {
    found.asked = found.part->image->asked.get();
  }
  judge_config(found, runtime, machine);
  return found;
}

bool Tree::is_complete() const noexcept {
  return std::all_of(items_.begin(), items_.end(),
                     [](const Item& item) { return item.part->problem.empty(); });
}

std::size_t Tree::memory() const noexcept {
  std::size_t bytes = sizeof(Tree);
  for (const Item& item : items_) {
    bytes += item.part->memory + item.children.size() * sizeof(std::uint32_t);
  }
  return bytes;
}

TreeBuilder::TreeBuilder(PartPtr root, Read read, WorkerPool& pool)
    : read_(std::move(read)), pool_(pool) {
  add(std::move(root));
  link();
}

void TreeBuilder::add(PartPtr part) {
  const auto place = static_cast<std::uint32_t>(tree_.items_.size());
  if (tree_.places_.emplace(part->descriptor.digest, place).second) {
    tree_.items_.push_back({.part = std::move(part)});
  }
}

void TreeBuilder::link() {
  for (Tree::Item& item : tree_.items_) {
    if (!item.part->list) {
      continue;
    }
    const auto& entries = item.part->list->index.manifests;
    item.children.resize(entries.size(), Tree::not_read);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto place = tree_.places_.find(entries[i].digest);
      if (place != tree_.places_.end()) {
        item.children[i] = place->second;
      }
    }
  }
}

Result<void> TreeBuilder::read(const std::set<Digest>& wanted) {
  std::vector<std::pair<Digest, PartPtr>> parts;
  for (const Digest& digest : wanted) {
    if (!tree_.places_.contains(digest)) {
      parts.emplace_back(digest, nullptr);
    }
  }
  TaskGroup group(pool_);
  for (auto& [digest, part] : parts) {
    group.run([this, &digest = digest, &part = part]() -> Result<void> {
      FNIMAGE_TRY(part, read_(digest));
      return {};
    });
  }
  FNIMAGE_CHECK(group.wait());
  for (auto& [digest, part] : parts) {
    FNIMAGE_CHECK(budget_.take(part->descriptor.size));
    add(std::move(part));
  }
  link();
  return {};
}

Result<void> TreeBuilder::read_all(std::size_t most) {
  for (std::size_t depth = 0; depth < Found::max_nesting; ++depth) {
    std::set<Digest> wanted;
    for (const Tree::Item& item : tree_.items_) {
      if (!item.part->list) {
        continue;
      }
      for (const Descriptor& entry : item.part->list->index.manifests) {
        if (may_be_taken(entry) && !tree_.places_.contains(entry.digest)) {
          wanted.insert(entry.digest);
        }
      }
    }
    if (wanted.empty()) {
      return {};
    }
    if (tree_.items_.size() + wanted.size() > most) {
      return fail(
          ErrorCode::invalid_input,
          fmt::format("{} has more than {} images", tree_.root().descriptor.digest.str(), most));
    }
    FNIMAGE_CHECK(read(wanted));
  }
  return {};
}

Choice choose_from(const Tree& base, std::span<const Variant> variants,
                   const node::Node& node) noexcept {
  for (std::size_t i = 0; i < variants.size(); ++i) {
    if (!variants[i].tree) {
      continue;
    }
    const Found found = variants[i].tree->find_for(node.runtime, node.machine);
    Choice choice = choice_of(found);
    if (choice && (found.asked == nullptr || found.asked->needs.surely_fits(node))) {
      choice.variant = i;
      return choice;
    }
  }
  const Found found = base.find_for(node.runtime, node.machine);
  Choice choice = choice_of(found);
  if (!choice || found.asked == nullptr) {
    return choice;
  }
  if (!found.asked->needs.fits(node)) {
    return {.outcome = Choice::Outcome::unfit, .entry = choice.entry};
  }
  choice.is_unsure = !found.asked->needs.surely_fits(node);
  return choice;
}

}  // namespace fnimage::resolve
