// Bytes of manifests that were asked for lately, by digest: shared by all repositories, since equal
// digests are equal bytes. Whether a repository has a manifest is for its index to say.
// Thread-safety: all methods from several threads.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include <fnimage/manifest/digest.hpp>

namespace fnimage::server {

class ManifestCache {
 public:
  /// @param limit bytes of manifests that are kept.
  explicit ManifestCache(std::size_t limit) : limit_(limit) {}

  /// Null = not kept.
  std::shared_ptr<const std::string> find(const manifest::Digest& digest);
  /// @param bytes known to have this digest.
  void add(const manifest::Digest& digest, std::shared_ptr<const std::string> bytes);
  [[nodiscard]] std::size_t size() const;  ///< bytes kept now

 private:
  struct Kept {
    manifest::Digest digest;
    std::shared_ptr<const std::string> bytes;
  };
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::size_t size_ = 0;  // guarded by mutex_, as what follows
  std::list<Kept> kept_;  // used last comes first
  std::unordered_map<manifest::Digest, std::list<Kept>::iterator> by_digest_;
};

}  // namespace fnimage::server
