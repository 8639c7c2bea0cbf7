// Sending blobs to registries while the image that needs them is still being made: a slow network
// then costs the time of the work or of the upload, not of both. Nothing depends on it: transfer()
// finds what is there, sends the rest and reports what is wrong. Thread-safety: send() from several
// threads; the rest belongs to one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/worker_pool.hpp>
#include <fnimage/registry/store.hpp>
#include <fnimage/registry/transfer.hpp>

namespace fnimage::registry {

class UploadAhead {
 public:
  /// @param stores where to; of several repositories of one registry only the first gets the blobs,
  /// and the others will have them mounted. @param parallel blobs in flight at the same time.
  UploadAhead(std::vector<std::unique_ptr<ImageStore>> stores, std::size_t parallel,
              Diagnostics& diagnostics);
  UploadAhead(const UploadAhead&) = delete;
  UploadAhead& operator=(const UploadAhead&) = delete;
  /// Waits for what is in flight; the rest is not sent.
  ~UploadAhead();

  /// Queues a blob that no registry is likely to have, and returns at once.
  void send(const manifest::Descriptor& blob, const ContentPtr& content);

  /// Waits until everything is sent or has failed.
  void finish();

  /// What transfer() took for blobs that the repository had already, is counted as what it was.
  /// After finish().
  void correct(const RepositoryName& repository, TransferResult& result) const;

 private:
  struct Target {
    std::unique_ptr<ImageStore> store;
    std::atomic<std::uint64_t> blobs = 0;
    std::atomic<std::uint64_t> bytes = 0;
    std::atomic<bool> failed = false;  ///< once: the rest is left to transfer()
  };

  void send_to(Target& target, const manifest::Descriptor& blob, const Content& content);

  std::vector<std::unique_ptr<Target>> targets_;
  Diagnostics& diagnostics_;
  std::atomic<bool> stopping_ = false;
  WorkerPool pool_;
  TaskGroup group_;
};

}  // namespace fnimage::registry
