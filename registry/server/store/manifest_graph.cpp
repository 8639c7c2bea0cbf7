#include "store/manifest_graph.hpp"

#include <algorithm>

#include <fnimage/manifest/media_types.hpp>
#include <fnimage/registry/fallback_tag.hpp>

#include "store/manifest_facts.hpp"

namespace fnimage::server {

using manifest::Descriptor;
using manifest::Digest;

namespace {

bool is_listed_manifest(const Descriptor& descriptor) noexcept {
  return manifest::is_manifest_type(descriptor.media_type) ||
         manifest::is_index_type(descriptor.media_type);
}

/// The next entry of another manifest.
IndexContent::Entries::const_iterator next_manifest(const IndexContent::Entries& entries,
                                                    IndexContent::Entries::const_iterator at) {
  return std::find_if(at, entries.end(),
                      [&](const auto& entry) { return entry->digest != (*at)->digest; });
}

}  // namespace

/// Both contents are sorted: what differs is found in one pass, and usually that is little.
void ManifestGraph::show(const IndexContent::Ptr& content) {
  if (shown_ == content) {
    return;
  }
  static const IndexContent::Entries nothing;
  const auto& before = shown_ ? shown_->entries() : nothing;
  const auto& after = content->entries();
  std::vector<Digest> gone;
  auto old = before.begin();
  auto entry = after.begin();
  while (old != before.end() || entry != after.end()) {
    const bool is_gone =
        entry == after.end() || (old != before.end() && (*old)->digest < (*entry)->digest);
    const bool is_new =
        old == before.end() || (entry != after.end() && (*entry)->digest < (*old)->digest);
    if (is_gone) {
      gone.push_back((*old)->digest);
    } else if (is_new) {
      use((*entry)->descriptor());
    }
    old = is_new ? old : next_manifest(before, old);
    entry = is_gone ? entry : next_manifest(after, entry);
  }
  std::ranges::for_each(gone, [this](const Digest& digest) { unuse(digest); });
  read_missing();
  shown_ = content;
}

/// Fills the node in; returns its children.
std::vector<Descriptor> ManifestGraph::read(Node& node) {
  const Digest& digest = node.descriptor.digest;
  const auto bytes = load_(digest);
  if (!bytes) {
    missing_.insert(digest);
    return {};
  }
  missing_.erase(digest);
  ManifestFacts facts = read_facts(*bytes, node.descriptor.media_type);
  node.is_read = true;
  node.children = std::move(facts.children);
  node.descriptor.size = bytes->size();
  node.descriptor.artifact_type = std::move(facts.artifact_type);
  if (facts.subject) {
    node.subject = std::move(facts.subject);
    node.descriptor.annotations = std::move(facts.annotations);
    referrers_[*node.subject].insert(digest);
  }
  return node.children;
}

/// Lists may be nested as deep as somebody cared to: no recursion.
void ManifestGraph::use(const Descriptor& descriptor) {
  std::vector<Descriptor> waiting{descriptor};
  while (!waiting.empty()) {
    const Descriptor next = std::move(waiting.back());
    waiting.pop_back();
    const auto [node, is_new] = nodes_.try_emplace(next.digest, Node{.descriptor = next});
    ++node->second.uses;
    if (!is_new) {
      continue;
    }
    node->second.descriptor.annotations.clear();  // those of the manifest count, not a list's
    for (Descriptor& child : read(node->second)) {
      if (is_listed_manifest(child)) {
        waiting.push_back(std::move(child));
      }
    }
  }
}

void ManifestGraph::unuse(const Digest& digest) {
  std::vector<Digest> waiting{digest};
  while (!waiting.empty()) {
    const auto node = nodes_.find(waiting.back());
    waiting.pop_back();
    if (node == nodes_.end() || --node->second.uses > 0) {
      continue;
    }
    for (const Descriptor& child : node->second.children) {
      if (is_listed_manifest(child)) {
        waiting.push_back(child.digest);
      }
    }
    if (const auto& subject = node->second.subject) {
      auto& all = referrers_[*subject];
      all.erase(node->first);
      if (all.empty()) {
        referrers_.erase(*subject);
      }
    }
    missing_.erase(node->first);
    nodes_.erase(node);
  }
}

void ManifestGraph::read_missing() {
  for (const Digest& digest : std::set<Digest>(missing_)) {
    const auto node = nodes_.find(digest);
    if (node == nodes_.end()) {
      continue;
    }
    for (const Descriptor& child : read(node->second)) {
      if (is_listed_manifest(child)) {
        use(child);
      }
    }
  }
}

void ManifestGraph::add_listed(const IndexContent& content, const Digest& subject,
                               std::map<Digest, Descriptor>& found) {
  const IndexEntry* entry = content.find(registry::referrers_tag(subject));
  const auto list = entry == nullptr ? nodes_.end() : nodes_.find(entry->digest);
  if (list == nodes_.end()) {
    return;
  }
  for (const Descriptor& listed : list->second.children) {
    const auto node = nodes_.find(listed.digest);
    // A list that nobody keeps up to date may name what is gone.
    if (node == nodes_.end() ? load_(listed.digest) != nullptr : node->second.is_read) {
      found.emplace(listed.digest, listed);
    }
  }
}

std::vector<Descriptor> ManifestGraph::referrers(const IndexContent::Ptr& content,
                                                 const Digest& subject) {
  const std::lock_guard lock(mutex_);
  show(content);
  std::map<Digest, Descriptor> found;
  if (const auto known = referrers_.find(subject); known != referrers_.end()) {
    for (const Digest& digest : known->second) {
      found.emplace(digest, nodes_.at(digest).descriptor);
    }
  }
  add_listed(*content, subject, found);
  std::vector<Descriptor> result;
  result.reserve(found.size());
  for (auto& [digest, descriptor] : found) {
    result.push_back(std::move(descriptor));
  }
  return result;
}

std::optional<Descriptor> ManifestGraph::child(const IndexContent::Ptr& content,
                                               const Digest& digest) {
  const std::lock_guard lock(mutex_);
  show(content);
  const auto node = nodes_.find(digest);
  return node == nodes_.end() ? std::nullopt : std::optional(node->second.descriptor);
}

}  // namespace fnimage::server
