// See shared_blobs.hpp.
#include "shared_blobs.hpp"

#include <utility>

#include <fnimage/base/caught.hpp>

namespace fnimage::registry {

std::optional<BlobHolder> SharedBlobs::claim(const manifest::Digest& blob) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto [known, is_first] = holders_.try_emplace(blob);
    if (is_first) {
      return std::nullopt;
    }
    if (known->second) {
      return known->second;
    }
    settled_.wait(lock);
  }
}

void SharedBlobs::settle(const manifest::Digest& blob, std::optional<BlobHolder> holder) {
  {
    const std::lock_guard lock(mutex_);
    if (holder) {
      holders_[blob] = std::move(holder);
    } else {
      holders_.erase(blob);
    }
  }
  settled_.notify_all();
}

Result<BlobOutcome> SharingStore::put_blob(const manifest::Descriptor& blob, const Content& content,
                                           const PutBlobOptions& options) {
  auto outcome = blob.size < worth_sharing ? below().put_blob(blob, content, options)
                                           : put_shared(blob, content, options);
  if (outcome) {
    const std::lock_guard lock(mutex_);
    counts_.uploaded += *outcome == BlobOutcome::uploaded ? 1U : 0U;
    counts_.mounted += *outcome == BlobOutcome::mounted ? 1U : 0U;
    counts_.existed += *outcome == BlobOutcome::existed ? 1U : 0U;
    counts_.bytes_uploaded += *outcome == BlobOutcome::uploaded ? blob.size : 0U;
  }
  return outcome;
}

Result<BlobOutcome> SharingStore::put_shared(const manifest::Descriptor& blob,
                                             const Content& content,
                                             const PutBlobOptions& options) {
  if (const auto holder = blobs_.claim(blob.digest)) {
    return put_from(*holder, blob, content, options);
  }
  // Whatever happens, those who wait must not wait for ever.
  auto outcome = caught([&] { return below().put_blob(blob, content, options); });
  blobs_.settle(blob.digest, outcome ? own(blob.digest, *outcome) : std::nullopt);
  return outcome;
}

Result<BlobOutcome> SharingStore::put_from(const BlobHolder& holder,
                                           const manifest::Descriptor& blob, const Content& content,
                                           PutBlobOptions options) {
  if (!options.mount_from && holder.repository != below().repository()) {
    options.mount_from = holder.repository;
  }
  if (holder.file && holder.file != to_.file_of(blob.digest)) {
    if (const auto linked = file_content(*holder.file); linked && (*linked)->size() == blob.size) {
      FNIMAGE_TRY(const BlobOutcome outcome, below().put_blob(blob, **linked, options));
      return outcome == BlobOutcome::uploaded ? BlobOutcome::mounted : outcome;
    }
  }
  return below().put_blob(blob, content, options);
}

/// A file that was there before is not linked: nobody has looked at its bytes in this run.
std::optional<BlobHolder> SharingStore::own(const manifest::Digest& blob,
                                            BlobOutcome outcome) const {
  BlobHolder holder{.repository = below().repository()};
  if (outcome != BlobOutcome::existed) {
    holder.file = to_.file_of(blob);
  }
  return holder.repository || holder.file ? std::optional(std::move(holder)) : std::nullopt;
}

SharingStore::Counts SharingStore::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace fnimage::registry
