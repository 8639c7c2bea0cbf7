// Changes of a repository's tags and manifests. All that wait are judged and done one after the
// other and written with one write of index.json. Order: the bytes of manifests and their names are
// safe before index.json is replaced, and files go after it is: a crash at any moment leaves blobs
// that nothing names at worst.
#include <algorithm>
#include <set>

#include <fnimage/manifest/document.hpp>
#include <fnimage/manifest/media_types.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/oci_layout.hpp>

#include "store/repository.hpp"

namespace fnimage::server {

using manifest::Digest;

namespace {

std::optional<Digest> digest_if_any(const IndexEntry* entry) {
  return entry == nullptr ? std::nullopt : std::optional(entry->digest);
}

/// What a condition about a put is about.
std::optional<Digest> standing_for(const IndexContent& content, const NewManifest& manifest) {
  return digest_if_any(manifest.tags.empty() ? content.find(manifest.digest)
                                             : content.find(manifest.tags.front()));
}

/// What could not be read back, or asked for, is not written.
Result<void> check_new(const NewManifest& manifest) {
  if (manifest.bytes.size() > manifest::max_document_bytes) {
    return fail(ErrorCode::invalid_input, "the manifest is too large");
  }
  if (!std::ranges::all_of(manifest.tags, manifest::is_valid_tag)) {
    return fail(ErrorCode::invalid_argument, "not a tag");
  }
  return {};
}

}  // namespace

Result<Outcome> DiskRepository::put_manifest(const NewManifest& manifest,
                                             const Condition& condition) {
  FNIMAGE_CHECK(check_new(manifest));
  FNIMAGE_CHECK(begin_writing());
  {
    // Judged once more later; but what is refused now has been refused at this moment, and needs no
    // write.
    FNIMAGE_TRY(const auto content, index_.current());
    if (!condition.holds(standing_for(*content, manifest))) {
      return Outcome::refused;
    }
  }
  FNIMAGE_CHECK(blobs_.put(manifest.digest, manifest.bytes));
  FNIMAGE_TRY(const Outcome outcome,
              run({.kind = Change::Kind::put, .manifest = &manifest, .condition = &condition}));
  if (outcome == Outcome::done) {
    cache_->add(manifest.digest, std::make_shared<const std::string>(manifest.bytes));
  }
  return outcome;
}

Result<Outcome> DiskRepository::remove_tag(const std::string& tag, const Condition& condition) {
  if (!exists()) {
    return Outcome::absent;
  }
  FNIMAGE_CHECK(begin_writing());
  return run({.kind = Change::Kind::remove_tag, .tag = tag, .condition = &condition});
}

Result<Outcome> DiskRepository::remove_manifest(const Digest& digest, const Condition& condition) {
  if (!exists()) {
    return Outcome::absent;
  }
  FNIMAGE_CHECK(begin_writing());
  FNIMAGE_TRY(const auto content, index_.current());
  return run({.kind = Change::Kind::remove_manifest,
              .digest = digest,
              .condition = &condition,
              .is_child = content->find(digest) == nullptr && child(content, digest)});
}

Result<Outcome> DiskRepository::remove_blob(const Digest& digest) {
  if (!exists()) {
    return Outcome::absent;
  }
  FNIMAGE_CHECK(begin_writing());
  return run({.kind = Change::Kind::remove_blob, .digest = digest});
}

Result<Outcome> DiskRepository::run(Change change) {
  commits_.run(change, [this](const std::vector<Change*>& changes) {
    if (const auto committed = commit(changes); !committed) {
      for (Change* one : changes) {
        one->outcome = fail(committed.error());
      }
    }
  });
  return std::move(change.outcome);
}

Result<void> DiskRepository::commit(const std::vector<Change*>& changes) {
  FNIMAGE_TRY(const FileLock lock, FileLock::acquire(directory_ / registry::layout_lock_file));
  FNIMAGE_TRY(const auto content, index_.current());
  Batch batch{.base = content, .draft = IndexDraft(content, index_.limits())};
  for (Change* change : changes) {
    change->outcome = apply(batch, *change);
    if (change->outcome != Outcome::done) {
      continue;
    }
    if (change->kind == Change::Kind::put) {
      batch.removed.erase(change->manifest->digest);
    } else if (change->digest) {
      batch.removed.insert(*change->digest);
    }
  }
  return finish(batch.draft, changes);
}

Result<Outcome> DiskRepository::apply(Batch& batch, const Change& change) {
  IndexDraft& draft = batch.draft;
  const IndexContent& content = draft.content();
  switch (change.kind) {
    case Change::Kind::put:
      return apply_put(batch, change);
    case Change::Kind::remove_tag: {
      const auto standing = digest_if_any(content.find(change.tag));
      if (!standing) {
        return Outcome::absent;
      }
      if (!change.condition->holds(standing)) {
        return Outcome::refused;
      }
      draft.remove_tag(change.tag);
      return Outcome::done;
    }
    case Change::Kind::remove_manifest:
      if (content.find(*change.digest) == nullptr && !change.is_child) {
        return Outcome::absent;
      }
      if (!change.condition->holds(change.digest)) {
        return Outcome::refused;
      }
      draft.remove_manifest(*change.digest);
      return Outcome::done;
    case Change::Kind::remove_blob:
      if (content.find(*change.digest) != nullptr) {
        return Outcome::refused;
      }
      return blob_size(*change.digest) ? Outcome::done : Outcome::absent;
  }
  return fail(ErrorCode::internal, "a change of no kind");
}

/// Under the layout's lock, under which garbage is collected, too: what is here now stays. A list's
/// manifest must be known as one, since of another one's file the blobs may have gone already.
bool DiskRepository::has_all_of(const Batch& batch, const NewManifest& manifest) {
  const auto is_here = [&](const manifest::Descriptor& part) {
    return !batch.removed.contains(part.digest) && blobs_.claim(part.digest) == part.size;
  };
  const auto is_known = [&](const manifest::Descriptor& child) {
    const bool is_document =
        manifest::is_index_type(child.media_type) || manifest::is_manifest_type(child.media_type);
    return !is_document || batch.draft.content().find(child.digest) != nullptr ||
           graph_.child(batch.base, child.digest).has_value();
  };
  return std::ranges::all_of(manifest.blobs, is_here) &&
         std::ranges::all_of(manifest.children, is_here) &&
         std::ranges::all_of(manifest.children, is_known);
}

Result<Outcome> DiskRepository::apply_put(Batch& batch, const Change& change) {
  IndexDraft& draft = batch.draft;
  const NewManifest& put = *change.manifest;
  if (!change.condition->holds(standing_for(draft.content(), put))) {
    return Outcome::refused;
  }
  if (!has_all_of(batch, put)) {
    return Outcome::incomplete;
  }
  // Somebody may have removed it since it was written.
  if (blobs_.size_of(put.digest) != put.bytes.size()) {
    FNIMAGE_CHECK(blobs_.put(put.digest, put.bytes));
  }
  FNIMAGE_CHECK(draft.put(
      {.media_type = put.media_type, .digest = put.digest, .size = put.bytes.size()}, put.tags));
  return Outcome::done;
}

Result<void> DiskRepository::sync_puts(const std::vector<Change*>& changes) const {
  std::set<std::string_view> synced;
  for (const Change* change : changes) {
    if (change->kind == Change::Kind::put && change->outcome == Outcome::done &&
        synced.insert(change->manifest->digest.algorithm()).second) {
      FNIMAGE_CHECK(blobs_.sync(change->manifest->digest));
    }
  }
  return {};
}

Result<void> DiskRepository::finish(const IndexDraft& draft, const std::vector<Change*>& changes) {
  if (draft.is_changed()) {
    FNIMAGE_CHECK(index_.write(draft.result(), [&] { return sync_puts(changes); }));
  } else if (std::ranges::any_of(changes, [](const Change* change) {
               return change->kind == Change::Kind::put && change->outcome == Outcome::done;
             })) {
    FNIMAGE_CHECK(sync_puts(changes));
    FNIMAGE_CHECK(index_.sync());
  }
  return remove_files(*draft.result(), changes);
}

Result<void> DiskRepository::remove_files(const IndexContent& content,
                                          const std::vector<Change*>& changes) {
  std::set<std::string_view> synced;
  for (const bool is_sync : {false, true}) {
    for (const Change* change : changes) {
      const bool removes = change->kind == Change::Kind::remove_manifest ||
                           change->kind == Change::Kind::remove_blob;
      if (!removes || change->outcome != Outcome::done ||
          content.find(*change->digest) != nullptr) {
        continue;  // among others: it was put again after it was removed
      }
      if (!is_sync) {
        FNIMAGE_CHECK(blobs_.remove(*change->digest));
      } else if (synced.insert(change->digest->algorithm()).second) {
        FNIMAGE_CHECK(blobs_.sync(*change->digest));
      }
    }
  }
  return {};
}

}  // namespace fnimage::server
