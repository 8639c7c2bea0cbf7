// Manifests that were read, by repository and digest, the least recently used going first when they
// take too much memory. Private to resolve. Thread-safety: may be used from several threads.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

#include "tree.hpp"

namespace fnimage::resolve {

class PartCache {
 public:
  explicit PartCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// The manifest of that repository, read when it is not known. One with a problem is not kept:
  /// it may be mended.
  Result<PartPtr> get(registry::ImageStore& store, const manifest::Digest& digest);
  void put(const registry::ImageStore& store, const PartPtr& part);
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Entry {
    std::string key;
    PartPtr part;
    std::size_t memory = 0;
  };
  using Order = std::list<Entry>;

  PartPtr find(const std::string& key);

  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  Order order_;  // the most recently used first; guarded by mutex_, as what follows
  std::unordered_map<std::string, Order::iterator> places_;
  std::size_t bytes_ = 0;
};

}  // namespace fnimage::resolve
