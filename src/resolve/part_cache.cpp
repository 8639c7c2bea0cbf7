// See the header.
#include "part_cache.hpp"

#include <utility>

#include <fmt/format.h>

namespace fnimage::resolve {

namespace {

/// What a key takes, twice, with the nodes of list and map.
constexpr std::size_t memory_of_entry = 256;

std::string key_of(const registry::ImageStore& store, const manifest::Digest& digest) {
  return fmt::format("{}@{}", store.describe(), digest.str());
}

}  // namespace

PartPtr PartCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(key);
  if (place == places_.end()) {
    return nullptr;
  }
  order_.splice(order_.begin(), order_, place->second);
  return place->second->part;
}

Result<PartPtr> PartCache::get(registry::ImageStore& store, const manifest::Digest& digest) {
  if (PartPtr known = find(key_of(store, digest))) {
    return known;
  }
  FNIMAGE_TRY(PartPtr part, read_part(store, digest));
  put(store, part);
  return part;
}

void PartCache::put(const registry::ImageStore& store, const PartPtr& part) {
  if (!part->problem.empty()) {
    return;
  }
  std::string key = key_of(store, part->descriptor.digest);
  const std::size_t memory = part->memory + memory_of_entry + 2 * key.size();
  const std::lock_guard lock(mutex_);
  if (memory > max_bytes_ || places_.contains(key)) {
    return;
  }
  order_.push_front({.key = key, .part = part, .memory = memory});
  places_.emplace(std::move(key), order_.begin());
  bytes_ += memory;
  while (bytes_ > max_bytes_) {
    bytes_ -= order_.back().memory;
    places_.erase(order_.back().key);
    order_.pop_back();
  }
}

std::size_t PartCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace fnimage::resolve
