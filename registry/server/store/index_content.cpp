#include "store/index_content.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/layout_reader.hpp>

namespace fnimage::server {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Index;

namespace {

using EntryPtr = std::shared_ptr<const IndexEntry>;

constexpr std::string_view entries_begin = R"("manifests":[)";
constexpr std::string_view entries_end = "]}";

/// Where the entries of an emitted index begin. Quotes in what comes before are escaped.
std::size_t begin_of_entries(std::string_view text) {
  return text.find(entries_begin) + entries_begin.size();
}

/// The JSON of one entry.
std::string entry_text(const Descriptor& descriptor) {
  Index index;
  index.manifests.push_back(descriptor);
  const std::string text = emit(index);
  const std::size_t begin = begin_of_entries(text);
  return text.substr(begin, text.size() - entries_end.size() - begin);
}

EntryPtr make_entry(const Descriptor& descriptor) {
  IndexEntry entry{.digest = descriptor.digest,
                   .media_type = descriptor.media_type,
                   .artifact_type = descriptor.artifact_type,
                   .size = descriptor.size,
                   .tag = {},
                   .is_nameless = true,
                   .text = entry_text(descriptor)};
  for (const auto key : {manifest::annotation::ref_name, manifest::annotation::containerd_name}) {
    const auto name = descriptor.annotations.find(std::string(key));
    if (name == descriptor.annotations.end()) {
      continue;
    }
    entry.is_nameless = false;
    if (entry.tag.empty() && manifest::is_valid_tag(name->second)) {
      entry.tag = name->second;
    }
  }
  return std::make_shared<const IndexEntry>(std::move(entry));
}

struct ByTag {
  bool operator()(const EntryPtr& entry, std::string_view tag) const { return entry->tag < tag; }
  bool operator()(std::string_view tag, const EntryPtr& entry) const { return tag < entry->tag; }
};

struct ByDigest {
  bool operator()(const EntryPtr& entry, const Digest& digest) const {
    return entry->digest < digest;
  }
  bool operator()(const Digest& digest, const EntryPtr& entry) const {
    return digest < entry->digest;
  }
};

void erase_entry(IndexContent::Entries& entries, IndexContent::Entries::const_iterator from,
                 const EntryPtr& entry) {
  entries.erase(std::find(from, entries.cend(), entry));
}

Descriptor named(Descriptor descriptor, const std::string& tag) {
  descriptor.annotations[std::string(manifest::annotation::ref_name)] = tag;
  return descriptor;
}

/// What is written must be readable, by others too.
Result<void> check_readable(const Descriptor& descriptor) {
  Index index;
  index.manifests.push_back(descriptor);
  FNIMAGE_CHECK(Index::parse(emit(index)));
  return {};
}

}  // namespace

Descriptor IndexEntry::descriptor() const {
  Descriptor result{.media_type = media_type, .digest = digest, .size = size};
  result.artifact_type = artifact_type;
  return result;
}

Result<IndexContent::Ptr> IndexContent::parse(std::string_view text,
                                              const manifest::ListLimits& limits) {
  FNIMAGE_TRY(Index index, Index::parse(text, limits));
  const std::shared_ptr<IndexContent> content(new IndexContent());
  content->by_digest_.reserve(index.manifests.size());
  for (const Descriptor& descriptor : index.manifests) {
    content->by_digest_.push_back(make_entry(descriptor));
    content->bytes_ += content->by_digest_.back()->text.size();
    if (!content->by_digest_.back()->tag.empty()) {
      content->by_tag_.push_back(content->by_digest_.back());
    }
  }
  std::ranges::stable_sort(content->by_digest_, {}, [](const EntryPtr& e) { return e->digest; });
  std::ranges::stable_sort(content->by_tag_, {}, [](const EntryPtr& e) { return e->tag; });
  index.manifests.clear();
  index.format = manifest::Format::oci;  // Docker's lists have no annotations to hold tags
  const std::string frame = emit(index);
  content->head_ = frame.substr(0, begin_of_entries(frame));
  content->tail_ = frame.substr(content->head_.size());
  return IndexContent::Ptr(content);
}

const IndexEntry* IndexContent::find(std::string_view tag) const {
  const auto found = std::lower_bound(by_tag_.begin(), by_tag_.end(), tag, ByTag());
  return found != by_tag_.end() && (*found)->tag == tag ? found->get() : nullptr;
}

const IndexEntry* IndexContent::find(const Digest& digest) const {
  const auto found = std::lower_bound(by_digest_.begin(), by_digest_.end(), digest, ByDigest());
  return found != by_digest_.end() && (*found)->digest == digest ? found->get() : nullptr;
}

std::shared_ptr<const std::vector<std::string>> IndexContent::tags() const {
  std::call_once(tags_once_, [this] {
    std::vector<std::string> names;
    names.reserve(by_tag_.size());
    for (const EntryPtr& entry : by_tag_) {
      if (names.empty() || names.back() != entry->tag) {
        names.push_back(entry->tag);
      }
    }
    tags_ = std::make_shared<const std::vector<std::string>>(std::move(names));
  });
  return tags_;
}

bool IndexContent::says_the_same_as(const IndexContent& other) const {
  const auto is_same = [](const EntryPtr& a, const EntryPtr& b) {
    return a == b || a->text == b->text;
  };
  return head_ == other.head_ && tail_ == other.tail_ &&
         std::ranges::equal(by_tag_, other.by_tag_, is_same) &&
         std::ranges::equal(by_digest_, other.by_digest_, is_same);
}

Result<void> IndexContent::write_to(Writer& out) const {
  constexpr std::size_t piece_size = 65536;
  std::string piece = head_;
  piece.reserve(std::min(piece_size, head_.size() + bytes_ + by_digest_.size() + tail_.size()));
  bool is_first = true;
  const auto append = [&](const EntryPtr& entry) -> Result<void> {
    if (piece.size() + entry->text.size() >= piece_size) {
      FNIMAGE_CHECK(out.write(as_bytes(piece)));
      piece.clear();
    }
    if (!std::exchange(is_first, false)) {
      piece += ',';
    }
    piece += entry->text;
    return {};
  };
  for (const EntryPtr& entry : by_tag_) {
    FNIMAGE_CHECK(append(entry));
  }
  for (const EntryPtr& entry : by_digest_) {
    if (entry->tag.empty()) {
      FNIMAGE_CHECK(append(entry));
    }
  }
  piece += tail_;
  return out.write(as_bytes(piece));
}

IndexContent& IndexDraft::edited() {
  if (!next_) {
    next_.reset(new IndexContent());
    next_->head_ = base_->head_;
    next_->tail_ = base_->tail_;
    next_->by_tag_ = base_->by_tag_;
    next_->by_digest_ = base_->by_digest_;
    next_->bytes_ = base_->bytes_;
  }
  return *next_;
}

void IndexDraft::add(const EntryPtr& entry) {
  IndexContent& next = edited();
  next.by_digest_.insert(
      std::upper_bound(next.by_digest_.begin(), next.by_digest_.end(), entry->digest, ByDigest()),
      entry);
  if (!entry->tag.empty()) {
    next.by_tag_.insert(
        std::upper_bound(next.by_tag_.begin(), next.by_tag_.end(), entry->tag, ByTag()), entry);
  }
  next.bytes_ += entry->text.size();
}

void IndexDraft::drop(const EntryPtr& entry) {
  IndexContent& next = edited();
  erase_entry(
      next.by_digest_,
      std::lower_bound(next.by_digest_.cbegin(), next.by_digest_.cend(), entry->digest, ByDigest()),
      entry);
  if (!entry->tag.empty()) {
    erase_entry(next.by_tag_,
                std::lower_bound(next.by_tag_.cbegin(), next.by_tag_.cend(), entry->tag, ByTag()),
                entry);
  }
  next.bytes_ -= entry->text.size();
}

std::vector<EntryPtr> IndexDraft::of_tag(const std::string& tag) const {
  const auto& all = content().by_tag_;
  const auto [first, last] = std::equal_range(all.begin(), all.end(), tag, ByTag());
  return {first, last};
}

std::vector<EntryPtr> IndexDraft::of_digest(const Digest& digest) const {
  const auto& all = content().by_digest_;
  const auto [first, last] = std::equal_range(all.begin(), all.end(), digest, ByDigest());
  return {first, last};
}

void IndexDraft::keep_known(const IndexEntry& entry) {
  if (content().find(entry.digest) == nullptr) {
    add(make_entry(entry.descriptor()));
  }
}

void IndexDraft::move_tag(const EntryPtr& entry) {
  const std::vector<EntryPtr> standing = of_tag(entry->tag);
  if (standing.size() == 1 && standing.front()->text == entry->text) {
    return;
  }
  for (const EntryPtr& old : standing) {
    drop(old);
  }
  add(entry);
  for (const EntryPtr& old : standing) {
    keep_known(*old);
  }
}

Result<void> IndexDraft::put(const Descriptor& manifest, const std::vector<std::string>& tags) {
  std::vector<EntryPtr> added;
  std::size_t bytes = 0;
  for (const std::string& tag : tags) {
    added.push_back(make_entry(named(manifest, tag)));
    bytes += added.back()->text.size();
  }
  FNIMAGE_CHECK(check_readable(manifest));
  const std::size_t standing = content().by_digest_.size();
  // What the tags stood for may need entries of its own, as much as these.
  if (standing + 2 * added.size() + 1 > limits_.max_entries ||
      content().bytes_ + standing + 2 * bytes + manifest::ListLimits{}.max_bytes / 64 >
          limits_.max_bytes) {
    return fail(ErrorCode::no_space,
                fmt::format("the repository is full: it has {} tags and manifests", standing),
                "remove what is not needed any more");
  }
  for (const EntryPtr& entry : added) {
    move_tag(entry);
  }
  const auto of_manifest = of_digest(manifest.digest);
  if (of_manifest.empty()) {
    add(make_entry(manifest));
  } else if (!tags.empty()) {
    for (const EntryPtr& entry : of_manifest) {
      if (entry->is_nameless) {
        drop(entry);  // the tag's entry says it now
      }
    }
  }
  return {};
}

bool IndexDraft::remove_tag(const std::string& tag) {
  const std::vector<EntryPtr> standing = of_tag(tag);
  for (const EntryPtr& entry : standing) {
    drop(entry);
  }
  for (const EntryPtr& entry : standing) {
    keep_known(*entry);
  }
  return !standing.empty();
}

/// All at once: one manifest may have thousands of tags, and a repository thousands of manifests.
bool IndexDraft::remove_manifests(const std::set<Digest>& digests) {
  const auto is_one = [&](const EntryPtr& entry) { return digests.contains(entry->digest); };
  if (std::ranges::none_of(content().by_digest_, is_one)) {
    return false;
  }
  IndexContent& next = edited();
  for (const EntryPtr& entry : next.by_digest_) {
    next.bytes_ -= is_one(entry) ? entry->text.size() : 0;
  }
  std::erase_if(next.by_tag_, is_one);
  std::erase_if(next.by_digest_, is_one);
  return true;
}

}  // namespace fnimage::server
