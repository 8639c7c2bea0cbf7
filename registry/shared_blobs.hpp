// The blobs that one run has brought to a place with many repositories: another repository that
// needs the same gets it from there (a mount of a registry, a link of a directory), and waits for
// it while it is on its way. Thread-safety: all methods from several threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>

#include <fnimage/registry/repository_set.hpp>
#include <fnimage/registry/store.hpp>

#include "forwarding_store.hpp"

namespace fnimage::registry {

/// Where a blob is.
struct BlobHolder {
  std::optional<RepositoryName> repository{};
  std::optional<std::filesystem::path> file{};
};

class SharedBlobs {
 public:
  /// Where another repository has the blob. Nullopt: the caller brings it, and says by settle()
  /// what became of that; others wait until then.
  std::optional<BlobHolder> claim(const manifest::Digest& blob);
  /// @param holder nullopt = it is nowhere
  void settle(const manifest::Digest& blob, std::optional<BlobHolder> holder);

 private:
  std::mutex mutex_;
  std::condition_variable settled_;
  std::map<manifest::Digest, std::optional<BlobHolder>> holders_;  ///< nullopt = on its way
};

/// A repository that is written to. Counts what happens to its blobs.
class SharingStore final : public ForwardingStore {
 public:
  /// In bytes. Smaller ones cost no more to send than to mount.
  static constexpr std::uint64_t worth_sharing = 4096;

  /// @param to not owned
  SharingStore(OpenRepository& to, SharedBlobs& blobs)
      : ForwardingStore(to.store()), to_(to), blobs_(blobs) {}

  Result<BlobOutcome> put_blob(const manifest::Descriptor& blob, const Content& content,
                               const PutBlobOptions& options) override;

  struct Counts {
    std::uint64_t uploaded = 0;
    std::uint64_t mounted = 0;
    std::uint64_t existed = 0;
    std::uint64_t bytes_uploaded = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  Result<BlobOutcome> put_shared(const manifest::Descriptor& blob, const Content& content,
                                 const PutBlobOptions& options);
  Result<BlobOutcome> put_from(const BlobHolder& holder, const manifest::Descriptor& blob,
                               const Content& content, PutBlobOptions options);
  [[nodiscard]] std::optional<BlobHolder> own(const manifest::Digest& blob,
                                              BlobOutcome outcome) const;

  OpenRepository& to_;
  SharedBlobs& blobs_;
  mutable std::mutex mutex_;
  Counts counts_;  // guarded by mutex_
};

}  // namespace fnimage::registry
