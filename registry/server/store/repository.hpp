// A repository on disk: an OCI layout. Thread-safety: see Repository.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fnimage/base/file_lock.hpp>

#include "store/blob_files.hpp"
#include "store/group_commit.hpp"
#include "store/manifest_cache.hpp"
#include "store/manifest_graph.hpp"
#include "store/repository_index.hpp"
#include "store/store.hpp"

namespace fnimage::server {

class DiskRepository final : public Repository {
 public:
  /// @param root the store. Nothing is read or made.
  DiskRepository(std::string name, const std::filesystem::path& root,
                 std::shared_ptr<ManifestCache> cache, const StoreLimits& limits);

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  Result<std::optional<StoredManifest>> manifest(const registry::Selector& selector) override;
  Result<Outcome> put_manifest(const NewManifest& manifest, const Condition& condition) override;
  Result<Outcome> remove_tag(const std::string& tag, const Condition& condition) override;
  Result<Outcome> remove_manifest(const manifest::Digest& digest,
                                  const Condition& condition) override;
  Result<std::shared_ptr<const std::vector<std::string>>> tags() override;
  Result<std::vector<manifest::Descriptor>> referrers(const manifest::Digest& digest) override;
  Result<std::optional<std::shared_ptr<const OpenFile>>> blob(
      const manifest::Digest& digest) override;
  [[nodiscard]] std::optional<std::uint64_t> blob_size(
      const manifest::Digest& digest) const override;
  Result<Outcome> remove_blob(const manifest::Digest& digest) override;
  Result<bool> mount(const manifest::Digest& digest, Repository& from) override;

  /// Whether the layout is there. Reads and makes nothing.
  [[nodiscard]] bool exists() const noexcept { return index_.exists(); }
  /// Makes the layout if it is missing, and takes the right to write to it: from now on nobody
  /// reclaims what nothing names yet. Errors: no_space, already_exists when something else is in
  /// the way.
  Result<void> begin_writing();
  /// Makes a file that is complete and synced one of its blobs; its old name goes.
  Result<void> adopt_blob(const manifest::Digest& digest, const std::filesystem::path& file);

 private:
  struct Change {
    enum class Kind : std::uint8_t { put, remove_tag, remove_manifest, remove_blob };
    Kind kind;
    const NewManifest* manifest = nullptr;
    std::string tag{};
    std::optional<manifest::Digest> digest{};
    const Condition* condition = nullptr;
    bool is_child = false;  ///< the manifest is known by a list only
    Result<Outcome> outcome = fail(ErrorCode::internal, "the change was not done");
  };
  Result<Outcome> run(Change change);
  Result<void> commit(const std::vector<Change*>& changes);
  /// Changes that are judged one after the other, and what was removed by those before.
  struct Batch {
    IndexContent::Ptr base;
    IndexDraft draft;
    std::set<manifest::Digest> removed{};
  };
  Result<Outcome> apply(Batch& batch, const Change& change);
  Result<Outcome> apply_put(Batch& batch, const Change& change);
  bool has_all_of(const Batch& batch, const NewManifest& manifest);
  Result<void> sync_puts(const std::vector<Change*>& changes) const;
  Result<void> finish(const IndexDraft& draft, const std::vector<Change*>& changes);
  Result<void> remove_files(const IndexContent& content, const std::vector<Change*>& changes);

  /// The bytes of what is known to be a manifest. Null: they are not here, or damaged.
  Result<std::shared_ptr<const std::string>> bytes_of(const manifest::Digest& digest);
  std::optional<manifest::Descriptor> child(const IndexContent::Ptr& content,
                                            const manifest::Digest& digest);

  const std::string name_;
  const std::filesystem::path root_;
  const std::filesystem::path relative_;  ///< to root_
  const std::filesystem::path directory_;
  const std::shared_ptr<ManifestCache> cache_;
  const BlobFiles blobs_;
  RepositoryIndex index_;
  ManifestGraph graph_;
  GroupCommit<Change> commits_;
  std::mutex writing_mutex_;
  std::optional<FileLock> writing_{};  // guarded by writing_mutex_
};

}  // namespace fnimage::server
