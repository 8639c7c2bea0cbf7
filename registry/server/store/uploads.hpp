// All uploads of a store. Thread-safety: all methods from several threads.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/repositories.hpp"
#include "store/store.hpp"
#include "store/upload.hpp"

namespace fnimage::server {

/// Below a store's directory.
inline constexpr std::string_view uploads_directory = ".fnimage.uploads";

class Uploads : public std::enable_shared_from_this<Uploads> {
 public:
  /// Takes over the uploads that are in the directory, which is made if missing.
  static Result<std::shared_ptr<Uploads>> open(const std::filesystem::path& directory,
                                               std::shared_ptr<Repositories> repositories,
                                               const StoreLimits& limits);

  /// Error: rate_limited, no_space.
  Result<std::shared_ptr<DiskUpload>> begin(UploadSession session);
  /// Null = there is none that this owner may use.
  std::shared_ptr<DiskUpload> find(const std::string& id, const std::string& repository,
                                   const std::string& owner);
  bool remove(const std::string& id, const std::string& repository, const std::string& owner);
  /// But those that are being written.
  void remove_all_of(const std::string& owner);
  void expire();
  [[nodiscard]] std::size_t count() const;  ///< open now
  /// Whether bytes could be written. Errors: no_space, those of the file system.
  [[nodiscard]] Result<void> check() const;
  /// Of an upload that has ended.
  void forget(const std::string& id);

 private:
  Uploads(std::filesystem::path directory, std::shared_ptr<Repositories> repositories,
          const StoreLimits& limits);
  std::vector<std::shared_ptr<DiskUpload>> all();
  void drop_if_older_than(const std::vector<std::shared_ptr<DiskUpload>>& uploads,
                          DiskUpload::Clock::time_point time);
  void load();
  void load(const std::filesystem::path& directory);
  Result<std::shared_ptr<DiskUpload>> make(const std::string& id, UploadSession session);

  const std::filesystem::path directory_;
  const std::shared_ptr<Repositories> repositories_;
  const std::size_t limit_;
  const std::chrono::seconds lifetime_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<DiskUpload>> by_id_{};  // guarded by mutex_
  std::size_t being_made_ = 0;                                            // guarded by mutex_
};

}  // namespace fnimage::server
