// Reading, and everything about blobs. Changes of manifests and tags: repository_changes.cpp.
#include "store/repository.hpp"

#include <utility>

#include <fnimage/registry/oci_layout.hpp>

#include "store/names.hpp"
#include "store/plain_directory.hpp"

namespace fnimage::server {

namespace fs = std::filesystem;

using manifest::Descriptor;
using manifest::Digest;

DiskRepository::DiskRepository(std::string name, const fs::path& root,
                               std::shared_ptr<ManifestCache> cache, const StoreLimits& limits)
    : name_(std::move(name)),
      root_(root),
      relative_(path_of_repository(name_)),
      directory_(root / relative_),
      cache_(std::move(cache)),
      blobs_(directory_, limits.refresh_age),
      index_(directory_, limits.index),
      graph_([this](const Digest& digest) { return bytes_of(digest).value_or(nullptr); }) {}

Result<void> DiskRepository::begin_writing() {
  const std::lock_guard lock(writing_mutex_);
  // Each time: what is written must not be led elsewhere by a link that was put there since.
  if (writing_ && exists() && are_plain_directories(root_, relative_)) {
    return {};
  }
  fs::path directory = root_;
  for (const fs::path& part : relative_) {
    directory /= part;
    FNIMAGE_CHECK(make_plain_directory(directory));
  }
  FNIMAGE_CHECK(make_plain_directory(directory_ / "blobs"));
  FNIMAGE_CHECK(make_plain_directory(directory_ / "blobs" / "sha256"));
  FNIMAGE_CHECK(refuse_other_than_file(directory_ / registry::layout_lock_file));
  FNIMAGE_CHECK(refuse_other_than_file(directory_ / registry::layout_writers_file));
  FNIMAGE_CHECK(registry::make_layout(directory_));
  FNIMAGE_TRY(FileLock held, FileLock::acquire_shared(directory_ / registry::layout_writers_file));
  writing_.emplace(std::move(held));
  return {};
}

Result<std::shared_ptr<const std::string>> DiskRepository::bytes_of(const Digest& digest) {
  if (auto kept = cache_->find(digest)) {
    return kept;
  }
  FNIMAGE_TRY(auto bytes, blobs_.read(digest, manifest::max_document_bytes));
  if (!bytes) {
    return std::shared_ptr<const std::string>();
  }
  auto shared = std::make_shared<const std::string>(std::move(*bytes));
  cache_->add(digest, shared);
  return shared;
}

/// What is not here needs no look into all lists.
std::optional<Descriptor> DiskRepository::child(const IndexContent::Ptr& content,
                                                const Digest& digest) {
  return blobs_.size_of(digest) ? graph_.child(content, digest) : std::nullopt;
}

Result<std::optional<StoredManifest>> DiskRepository::manifest(const registry::Selector& selector) {
  std::optional<StoredManifest> none;
  FNIMAGE_TRY(const auto content, index_.current());
  const auto* tag = std::get_if<std::string>(&selector);
  const IndexEntry* entry =
      tag != nullptr ? content->find(*tag) : content->find(std::get<Digest>(selector));
  std::optional<Descriptor> found;
  if (entry != nullptr) {
    found = entry->descriptor();
  } else if (tag == nullptr) {
    found = child(content, std::get<Digest>(selector));
  }
  if (!found) {
    return none;
  }
  FNIMAGE_TRY(auto bytes, bytes_of(found->digest));
  if (!bytes) {
    return none;
  }
  (void)blobs_.claim(found->digest);  // a list that names it may be put next
  found->size = bytes->size();
  found->annotations.clear();
  return std::optional(StoredManifest{std::move(*found), std::move(bytes)});
}

Result<std::shared_ptr<const std::vector<std::string>>> DiskRepository::tags() {
  FNIMAGE_TRY(const auto content, index_.current());
  return content->tags();
}

Result<std::vector<Descriptor>> DiskRepository::referrers(const Digest& digest) {
  FNIMAGE_TRY(const auto content, index_.current());
  return graph_.referrers(content, digest);
}

Result<std::optional<std::shared_ptr<const OpenFile>>> DiskRepository::blob(const Digest& digest) {
  if (!blobs_.claim(digest)) {
    return std::optional<std::shared_ptr<const OpenFile>>();
  }
  return blobs_.open(digest);
}

std::optional<std::uint64_t> DiskRepository::blob_size(const Digest& digest) const {
  return blobs_.claim(digest);
}

Result<void> DiskRepository::adopt_blob(const Digest& digest, const fs::path& file) {
  FNIMAGE_CHECK(begin_writing());
  return blobs_.adopt(digest, file);
}

Result<bool> DiskRepository::mount(const Digest& digest, Repository& from) {
  const auto* source = dynamic_cast<const DiskRepository*>(&from);
  if (source == nullptr || !source->blob_size(digest)) {
    return false;
  }
  if (source == this) {
    return true;
  }
  FNIMAGE_CHECK(begin_writing());
  return blobs_.link(digest, source->blobs_);
}

}  // namespace fnimage::server
