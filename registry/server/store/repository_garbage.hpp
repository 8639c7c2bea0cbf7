// Collects the garbage of one repository, see gc.hpp. Thread-safety: belongs to one thread; several
// processes and threads may collect at once, and others write.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/file_lock.hpp>
#include <fnimage/server/gc.hpp>

#include "store/blob_files.hpp"
#include "store/content_graph.hpp"
#include "store/garbage_files.hpp"
#include "store/repository_index.hpp"

namespace fnimage::server {

class RepositoryGarbage {
 public:
  /// @param layout its directory, below directories that are no links.
  RepositoryGarbage(std::string name, const std::filesystem::path& layout,
                    const GcOptions& options);

  /// What went so far is counted in case of an error, too. Errors: those of ContentGraph,
  /// invalid_input when index.json is damaged, those of the file system.
  Result<void> collect();
  [[nodiscard]] const GarbageCounts& counts() const noexcept { return counts_; }

 private:
  Result<IndexContent::Ptr> read(bool may_rest = true);
  Result<void> read_entries(const IndexContent& content, bool may_rest);
  std::set<manifest::Digest> untagged(const IndexContent& content);
  Result<void> collect_untagged();
  Result<bool> try_remove_untagged(bool is_last_try);
  [[nodiscard]] bool is_old(const manifest::Digest& manifest) const;

  Result<void> sweep(std::string_view algorithm);
  Result<void> remove(const GarbageFiles& files, std::string_view algorithm,
                      std::vector<OldFile> garbage);
  Result<void> set_aside(const GarbageFiles& files, std::vector<OldFile>& garbage,
                         std::string_view algorithm, std::vector<OldFile>& gone);
  void count_blob(std::string_view algorithm, const OldFile& file);
  Result<bool> catch_up(std::size_t most);

  Result<void> remove_leftovers(const std::filesystem::path& directory);

  const std::string name_;
  const std::filesystem::path layout_;
  const GcOptions& options_;
  const FileAge oldest_kept_;
  const BlobFiles blobs_;
  RepositoryIndex index_;
  ContentGraph graph_;
  std::set<manifest::Digest> untagged_{};  ///< whose entries went, or would go
  /// The index.json that the graph has all of; held open, see FileStamp.
  std::shared_ptr<const OpenFile> followed_{};
  std::optional<FileStamp> followed_stamp_{};
  GarbageCounts counts_{};
};

}  // namespace fnimage::server
