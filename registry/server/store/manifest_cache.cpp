#include "store/manifest_cache.hpp"

namespace fnimage::server {

namespace {

/// What a manifest takes besides its bytes.
constexpr std::size_t cache_overhead = 512;

}  // namespace

std::shared_ptr<const std::string> ManifestCache::find(const manifest::Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) {
    return nullptr;
  }
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->bytes;
}

void ManifestCache::add(const manifest::Digest& digest, std::shared_ptr<const std::string> bytes) {
  const std::size_t added = bytes->size() + cache_overhead;
  const std::lock_guard lock(mutex_);
  if (added > limit_ || by_digest_.contains(digest)) {
    return;
  }
  kept_.push_front({digest, std::move(bytes)});
  by_digest_.emplace(digest, kept_.begin());
  size_ += added;
  while (size_ > limit_) {
    size_ -= kept_.back().bytes->size() + cache_overhead;
    by_digest_.erase(kept_.back().digest);
    kept_.pop_back();
  }
}

std::size_t ManifestCache::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

}  // namespace fnimage::server
