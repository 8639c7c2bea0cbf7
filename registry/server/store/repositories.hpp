// The repositories of a store, those used last kept in memory. Thread-safety: all methods from
// several threads. A repository that somebody holds is never forgotten, so that one name is one
// object at any time.
#pragma once

#include <cstddef>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/repository.hpp"
#include "store/store.hpp"

namespace fnimage::server {

class Repositories {
 public:
  Repositories(std::filesystem::path root, const StoreLimits& limits);

  /// Null = there is none. @param name valid.
  Result<std::shared_ptr<DiskRepository>> find(const std::string& name);
  Result<std::shared_ptr<DiskRepository>> create(const std::string& name);
  /// Names, sorted.
  [[nodiscard]] Result<std::vector<std::string>> list() const;
  [[nodiscard]] std::size_t kept() const;  ///< in memory now

 private:
  using Kept = std::list<std::shared_ptr<DiskRepository>>;
  /// The object of this name, made if nobody has one.
  std::shared_ptr<DiskRepository> object(const std::string& name);
  std::shared_ptr<DiskRepository> known(const std::string& name);
  void forget_some();

  const std::filesystem::path root_;
  const std::shared_ptr<ManifestCache> cache_;
  const std::size_t limit_;
  const StoreLimits limits_;
  mutable std::mutex mutex_;
  Kept kept_;                                                  // guarded by mutex_: used last first
  std::unordered_map<std::string, Kept::iterator> by_name_{};  // guarded by mutex_
};

}  // namespace fnimage::server
