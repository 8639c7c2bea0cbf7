// See the header.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/registry/upload_ahead.hpp>

namespace fnimage::registry {

UploadAhead::UploadAhead(std::vector<std::unique_ptr<ImageStore>> stores, std::size_t parallel,
                         Diagnostics& diagnostics)
    : diagnostics_(diagnostics), pool_(parallel), group_(pool_) {
  std::set<std::string> registries;
  for (std::unique_ptr<ImageStore>& store : stores) {
    const auto name = store->repository();
    if (name && registries.insert(name->registry).second) {
      store->expect_writes();
      targets_.push_back(std::make_unique<Target>());
      targets_.back()->store = std::move(store);
    }
  }
}

UploadAhead::~UploadAhead() {
  stopping_ = true;
}

void UploadAhead::send(const manifest::Descriptor& blob, const ContentPtr& content) {
  for (const std::unique_ptr<Target>& target : targets_) {
    group_.run([this, to = target.get(), blob, content]() -> Result<void> {
      if (!stopping_ && !to->failed) {
        send_to(*to, blob, *content);
      }
      return {};
    });
  }
}

void UploadAhead::send_to(Target& target, const manifest::Descriptor& blob,
                          const Content& content) {
  const auto progress = diagnostics_.begin(
      fmt::format("layer {}:{}", blob.digest.algorithm(), blob.digest.hex().substr(0, 12)),
      blob.size);
  const auto outcome =
      target.store->put_blob(blob, content, {.progress = progress.get(), .probably_new = true});
  target.failed = target.failed || !outcome;  // transfer() will see whether it still does
  const bool uploaded = outcome && *outcome == BlobOutcome::uploaded;
  progress->finish(uploaded ? "uploaded" : outcome ? "exists" : "later");
  if (uploaded) {
    ++target.blobs;
    target.bytes += blob.size;
  }
}

void UploadAhead::finish() {
  (void)group_.wait();  // tasks do not fail
}

void UploadAhead::correct(const RepositoryName& repository, TransferResult& result) const {
  for (const std::unique_ptr<Target>& target : targets_) {
    if (target->store->repository() == repository) {
      const std::uint64_t blobs = std::min<std::uint64_t>(target->blobs, result.blobs_existed);
      result.blobs_existed -= blobs;
      result.blobs_uploaded += blobs;
      result.bytes_uploaded += target->bytes;
    }
  }
}

}  // namespace fnimage::registry
