// See layout_repository.hpp.
#include "layout_repository.hpp"

#include <algorithm>

#include <fnimage/registry/fallback_tag.hpp>

#include "referrer_listing.hpp"

namespace fnimage::registry {

using manifest::Descriptor;
using manifest::Digest;
using manifest::Document;

namespace {

/// The subject of a list under a fallback tag, if it is one.
std::optional<Digest> listed_subject(const std::string& tag) {
  std::string text = tag;
  if (const std::size_t dash = text.find('-'); dash != std::string::npos) {
    text[dash] = ':';
  }
  auto digest = Digest::parse(text);
  return digest ? std::optional(std::move(*digest)) : std::nullopt;
}

void add_once(std::vector<Descriptor>& list, const Descriptor& one) {
  if (std::ranges::none_of(list, [&](const Descriptor& o) { return o.digest == one.digest; })) {
    list.push_back(one);
  }
}

}  // namespace

/// mutex_ is held, here and in the next two.
Result<void> LayoutStore::load() {
  if (!is_loaded_) {
    FNIMAGE_TRY(entries_, layout_.entries());
    for (const Descriptor& entry : entries_) {
      types_.emplace(entry.digest, entry.media_type);
    }
    is_loaded_ = true;
  }
  return {};
}

/// What is damaged or missing is no manifest here, and what it says does not count.
Result<void> LayoutStore::read_all() {
  FNIMAGE_CHECK(load());
  if (is_read_) {
    return {};
  }
  std::set<Digest> seen;
  for (const Descriptor& entry : entries_) {
    const auto subject = listed_subject(layout_tag_of(entry));
    if (!subject && !seen.insert(entry.digest).second) {
      continue;
    }
    const auto document = layout_.get_manifest(entry.digest);
    if (!document) {
      continue;
    }
    note(*document);
    if (const auto list = document->index(); subject && document->is_index() && list) {
      for (const Descriptor& referrer : list->manifests) {
        add_once(referrers_[*subject], referrer);
      }
    }
  }
  is_read_ = true;
  return {};
}

void LayoutStore::note(const Document& document) {
  if (document.is_index()) {
    if (const auto list = document.index()) {
      for (const Descriptor& child : list->manifests) {
        children_.insert(child.digest);
      }
    }
  }
  if (const auto referrer = referrer_of(document); referrer && *referrer) {
    add_once(referrers_[(*referrer)->subject], (*referrer)->descriptor);
  }
}

Result<Document> LayoutStore::get_manifest(const Selector& selector) {
  FNIMAGE_TRY(Document document, layout_.get_manifest(selector));
  const auto* digest = std::get_if<Digest>(&selector);
  std::string type;
  {
    const std::lock_guard lock(mutex_);
    FNIMAGE_CHECK(load());
    const auto known = digest == nullptr ? types_.end() : types_.find(*digest);
    type = known == types_.end() ? document.media_type() : known->second;
  }
  // A manifest need not say itself what it is; its entry does.
  return type == document.media_type()
             ? std::move(document)
             : Document::from_bytes(document.bytes(), type, to_string(selector));
}

Result<void> LayoutStore::put_manifest(const Document& document,
                                       const std::optional<std::string>& tag) {
  FNIMAGE_CHECK(layout_.put_manifest(document, std::nullopt));
  Descriptor entry = document.descriptor();
  if (tag) {
    entry.annotations.emplace(manifest::annotation::ref_name, *tag);
  }
  const std::lock_guard lock(mutex_);
  note(document);
  waiting_.push_back(std::move(entry));
  return {};
}

Result<void> LayoutStore::put_tags(const Document& document, const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    FNIMAGE_CHECK(put_manifest(document, tag));
  }
  return {};
}

Result<std::vector<Descriptor>> LayoutStore::referrers(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  FNIMAGE_CHECK(read_all());
  const auto found = referrers_.find(digest);
  return found == referrers_.end() ? std::vector<Descriptor>() : found->second;
}

Result<std::vector<Descriptor>> LayoutStore::entries() {
  const std::lock_guard lock(mutex_);
  FNIMAGE_CHECK(load());
  return entries_;
}

Result<std::vector<Descriptor>> LayoutStore::untagged() {
  const std::lock_guard lock(mutex_);
  FNIMAGE_CHECK(read_all());
  std::set<Digest> others = children_;
  for (const Descriptor& entry : entries_) {
    if (!layout_tag_of(entry).empty()) {
      others.insert(entry.digest);
    }
  }
  std::vector<Descriptor> found;
  for (const Descriptor& entry : entries_) {
    if (others.insert(entry.digest).second) {
      found.push_back(entry);
    }
  }
  return found;
}

Result<bool> LayoutStore::has_entry(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  FNIMAGE_CHECK(load());
  return types_.contains(digest);
}

/// A list's images need no entries beside the list's.
Result<void> LayoutStore::flush() {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const Descriptor& entry) {
    return layout_tag_of(entry).empty() && children_.contains(entry.digest);
  });
  if (waiting_.empty()) {
    return {};
  }
  FNIMAGE_CHECK(layout_.put_entries(waiting_));
  for (Descriptor& entry : waiting_) {
    types_.emplace(entry.digest, entry.media_type);
    entries_.push_back(std::move(entry));
  }
  waiting_.clear();
  return {};
}

Result<TagListing> LayoutRepository::tags() {
  FNIMAGE_TRY(const std::vector<Descriptor> entries, store_.entries());
  TagListing listing;
  for (const Descriptor& entry : entries) {
    if (std::string tag = layout_tag_of(entry); !tag.empty()) {
      listing.insert_or_assign(std::move(tag), entry);
    }
  }
  return listing;
}

/// A manifest that is here without an entry may be of a run that was interrupted.
Result<bool> LayoutRepository::stands(const Digest& digest) {
  FNIMAGE_TRY(const bool listed, store_.has_entry(digest));
  FNIMAGE_TRY(const auto found,
              listed ? store_.resolve(digest) : Result<std::optional<Descriptor>>(std::nullopt));
  return found.has_value();
}

}  // namespace fnimage::registry
