// An upload on disk: a directory with the bytes ("data") and what it belongs to ("session").
// Thread-safety: see Upload.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "store/file_handle.hpp"
#include "store/repositories.hpp"
#include "store/running_hash.hpp"
#include "store/store.hpp"

namespace fnimage::server {

class Uploads;

/// What an upload belongs to.
struct UploadSession {
  std::string repository;
  std::string owner;  ///< empty = anybody's
  std::string algorithm = "sha256";

  /// The file's text; the owner may be any bytes.
  [[nodiscard]] std::string text() const;
  /// Nullopt for anything that text() does not give.
  static std::optional<UploadSession> parse(std::string_view text);
};

class DiskUpload final : public Upload, public std::enable_shared_from_this<DiskUpload> {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param directory has the files. @param size of the data. @param uploads told when it ends.
  DiskUpload(std::string id, std::filesystem::path directory, UploadSession session,
             std::uint64_t size, std::shared_ptr<Repositories> repositories,
             std::weak_ptr<Uploads> uploads);

  [[nodiscard]] const std::string& id() const noexcept override { return id_; }
  [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
  Result<std::unique_ptr<Writing>> begin() override;

  [[nodiscard]] const UploadSession& session() const noexcept { return session_; }
  void set_last_use(Clock::time_point time);
  /// Drops the bytes; whoever writes fails with not_found. False = it has ended already.
  bool drop();
  /// drop(), unless somebody is writing or the last byte is younger.
  bool drop_if_older_than(Clock::time_point time);

 private:
  class DiskWriting;
  Result<void> write(const FileHandle& file, Bytes bytes);
  Result<void> finish(const FileHandle& file, const manifest::Digest& digest);
  Result<void> hash_up_to_size(const FileHandle& file, std::string_view algorithm);
  Result<void> make_safe(const FileHandle& file);
  Result<void> become_blob(const manifest::Digest& digest);
  void end_writing() noexcept;
  void remove_directory() noexcept;
  [[nodiscard]] std::filesystem::path data() const { return directory_ / "data"; }

  const std::string id_;
  const std::filesystem::path directory_;
  const UploadSession session_;
  const std::shared_ptr<Repositories> repositories_;
  const std::weak_ptr<Uploads> uploads_;
  std::atomic<std::uint64_t> size_;  ///< of the file; set by the Writing only
  RunningHash hash_;                 ///< the Writing's; its size() may lag behind
  mutable std::mutex mutex_;
  bool is_busy_ = false;              // guarded by mutex_: a Writing lives
  std::atomic<bool> is_over_{false};  ///< set under mutex_
  Clock::time_point last_use_;        // guarded by mutex_
};

}  // namespace fnimage::server
