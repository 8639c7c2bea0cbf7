// Blobs of upstreams: each is got once, however many clients want it, and is theirs to read while
// it comes. It becomes a blob of the repository here when its digest has been found right; before,
// it is an upload of the store, on the disk. Thread-safety: all methods from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/manifest/digest.hpp>
#include <fnimage/server/upstream.hpp>

#include "http/growing_file.hpp"
#include "store/store.hpp"
#include "upstream/place.hpp"
#include "upstream/remote.hpp"

namespace fnimage::server {

/// A blob that comes.
struct ComingBlob {
  std::shared_ptr<GrowingFile> file;  ///< holding it keeps the fetch going
  std::uint64_t size = 0;             ///< bytes, in the end
};

class BlobFetches {
 public:
  BlobFetches(Store& store, const UpstreamOptions& options) : store_(store), options_(options) {}

  /// Drops what fetches of a former process have left.
  void clean_up() { store_.remove_uploads_of(owner); }

  /// Nullopt: it is in the repository here. Errors: not_found, unauthorized, those of the network
  /// and of the store.
  using Outcome = Result<std::optional<ComingBlob>>;
  using Take = std::function<void(const Outcome&)>;
  /// Sees to it that the blob comes, and tells so as soon as there is something to send: at once,
  /// or from another thread.
  void fetch(Remote& remote, const Place& place, const manifest::Digest& digest, const Take& take);

 private:
  static constexpr const char* owner = "upstream";  ///< of the uploads; no user's name
  class Fetch;
  class Receiver;

  Outcome run(Remote& remote, const Place& place, const manifest::Digest& digest,
              const std::shared_ptr<Fetch>& fetch);
  Result<void> receive(Remote& remote, const Place& place, const manifest::Digest& digest,
                       const std::shared_ptr<Fetch>& fetch, Upload& upload);
  /// From now on it can be read.
  void announce(const std::shared_ptr<Fetch>& fetch, const std::shared_ptr<GrowingFile>& file,
                std::uint64_t size);
  /// Whether nobody wants it any more.
  bool is_abandoned(const std::shared_ptr<Fetch>& fetch);
  /// Nobody joins it any more.
  void withdraw(const std::shared_ptr<Fetch>& fetch);
  void end(const std::shared_ptr<Fetch>& fetch, const Outcome& outcome);
  void forget(const std::shared_ptr<Fetch>& fetch);  ///< with the mutex held

  Store& store_;
  const UpstreamOptions& options_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Fetch>> under_way_{};  // guarded by mutex_
};

}  // namespace fnimage::server
