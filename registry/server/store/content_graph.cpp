#include "store/content_graph.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/document.hpp>

namespace fnimage::server {

using manifest::Digest;

ContentGraph::Id ContentGraph::id_of(const Digest& digest) {
  const auto [found, is_new] = ids_.try_emplace(digest.str(), static_cast<Id>(nodes_.size()));
  if (is_new) {
    nodes_.emplace_back();
  }
  return found->second;
}

/// Lists may be nested as deep as somebody cared to: no recursion.
Result<void> ContentGraph::read(const NamedDocument& document) {
  std::vector<NamedDocument> waiting{document};
  while (!waiting.empty()) {
    const NamedDocument next = std::move(waiting.back());
    waiting.pop_back();
    FNIMAGE_TRY(auto below, read_one(next));
    std::ranges::move(below, std::back_inserter(waiting));
  }
  return {};
}

Result<void> ContentGraph::read_entry(const Digest& digest) {
  FNIMAGE_CHECK(read({digest, true}));
  if (!blobs_.size_of(digest)) {
    return fail(ErrorCode::not_found, fmt::format("the manifest {} is missing", digest.str()),
                "push it again, or delete it");
  }
  return {};
}

/// Returns the documents that it names.
Result<std::vector<NamedDocument>> ContentGraph::read_one(const NamedDocument& document) {
  const Id id = id_of(document.digest);
  const auto size = nodes_[id].is_read ? std::nullopt : blobs_.size_of(document.digest);
  if (!size || (!document.is_certain && *size > manifest::max_document_bytes)) {
    return std::vector<NamedDocument>();
  }
  FNIMAGE_TRY(const auto bytes, blobs_.read(document.digest, manifest::max_document_bytes));
  if (!bytes && !blobs_.size_of(document.digest)) {
    return std::vector<NamedDocument>();  // it has just been removed
  }
  if (!bytes) {
    const bool is_large = *size > manifest::max_document_bytes;
    return fail(is_large ? ErrorCode::invalid_input : ErrorCode::verification,
                fmt::format("{} {}", document.digest.str(),
                            is_large ? "is too large for a manifest"
                                     : "is damaged: its bytes have another digest"),
                "push it again, or delete it");
  }
  NamedContent named = read_named(*bytes);
  std::vector<Id> names;
  for (const Digest& blob : named.blobs) {
    names.push_back(id_of(blob));
  }
  for (const NamedDocument& below : named.documents) {
    names.push_back(id_of(below.digest));
  }
  const Id subject = named.subject ? id_of(*named.subject) : none;
  nodes_[id] = {.names = std::move(names),
                .subject = subject,
                .is_read = true,
                .is_kept = nodes_[id].is_kept};
  return std::move(named.documents);
}

void ContentGraph::keep(std::string_view digest) {
  if (const auto found = ids_.find(digest); found != ids_.end()) {
    keep(found->second);
  }
}

/// The first one's names are looked at in any case: it may have been kept before it could be read.
void ContentGraph::keep(Id id) {
  nodes_[id].is_kept = true;
  std::vector<Id> waiting = nodes_[id].names;
  while (!waiting.empty()) {
    Node& node = nodes_[waiting.back()];
    waiting.pop_back();
    if (!std::exchange(node.is_kept, true)) {
      waiting.insert(waiting.end(), node.names.begin(), node.names.end());
    }
  }
}

/// Goes from what is kept to what refers to it.
class ContentGraph::ReferrerWalk {
 public:
  ReferrerWalk(ContentGraph& graph, const std::function<bool(const std::string&)>& has_entry)
      : graph_(graph) {
    std::vector<bool> is_entry(graph.nodes_.size());
    for (const auto& [digest, id] : graph.ids_) {
      is_entry[id] = has_entry(digest);
    }
    for (Id id = 0; id < graph.nodes_.size(); ++id) {
      const Node& node = graph.nodes_[id];
      if (node.subject != none) {
        referrers_[node.subject].push_back(id);
      }
      for (const Id named : node.names) {
        if (graph.nodes_[named].is_read && !is_entry[named]) {
          lists_[named].push_back(id);
        }
      }
    }
  }

  void add(Id id) {
    if (!std::exchange(graph_.nodes_[id].is_kept, true)) {
      unread_.push_back(id);
    }
  }

  void run() {
    while (!unread_.empty() || !subjects_.empty()) {
      // What is named comes first: then fewer lists are needed for referrers to be known by.
      auto& next = unread_.empty() ? subjects_ : unread_;
      const Id id = next.back();
      next.pop_back();
      if (&next == &unread_) {
        std::ranges::for_each(graph_.nodes_[id].names, [this](Id named) { add(named); });
        subjects_.push_back(id);
      } else if (const auto found = referrers_.find(id); found != referrers_.end()) {
        std::ranges::for_each(found->second, [this](Id referrer) { add_known(referrer); });
      }
    }
  }

 private:
  /// A referrer without an entry is known by the lists that name it, up to one with an entry.
  void add_known(Id id) {
    std::vector<Id> up{id};
    while (!up.empty()) {
      const Id next = up.back();
      up.pop_back();
      if (graph_.nodes_[next].is_kept) {
        continue;
      }
      add(next);
      if (const auto lists = lists_.find(next); lists != lists_.end()) {
        up.insert(up.end(), lists->second.begin(), lists->second.end());
      }
    }
  }

  ContentGraph& graph_;
  std::unordered_map<Id, std::vector<Id>> referrers_{};  ///< by subject
  std::unordered_map<Id, std::vector<Id>> lists_{};      ///< by a document without an entry
  std::vector<Id> unread_{};                             ///< kept; their names are not, yet
  std::vector<Id> subjects_{};                           ///< kept; their referrers are not, yet
};

void ContentGraph::keep_with_referrers(
    const std::vector<Digest>& roots,
    const std::function<bool(const std::string& digest)>& has_entry) {
  ReferrerWalk walk(*this, has_entry);
  for (const Digest& root : roots) {
    walk.add(id_of(root));
  }
  walk.run();
}

void ContentGraph::keep_nothing() {
  for (Node& node : nodes_) {
    node.is_kept = false;
  }
}

bool ContentGraph::is_kept(std::string_view digest) const {
  const auto found = ids_.find(digest);
  return found != ids_.end() && nodes_[found->second].is_kept;
}

}  // namespace fnimage::server
