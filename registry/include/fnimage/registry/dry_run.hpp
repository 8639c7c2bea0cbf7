// A transport that reads but does not write: what would be written is remembered, answered as a
// registry would, and seen by later reads of manifests and blobs, so that a whole publication can
// be played through. Where registries differ, it answers as those do that need more requests.
// Thread-safety: may be used from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

struct PlannedRequest {
  std::string method;
  std::string url;
  std::uint64_t bytes = 0;  ///< of the body: sent, or for a read received
};

class DryRunTransport final : public Transport {
 public:
  explicit DryRunTransport(std::shared_ptr<Transport> reads) : below_(std::move(reads)) {}

  /// GET and HEAD, and requests for tokens, go to the registry unless they ask for what was
  /// "written" here. A mount from another repository is answered as done.
  Result<HttpResponse> perform(const HttpRequest& request) override;
  [[nodiscard]] std::stop_token stop_token() const override { return below_->stop_token(); }

  /// What would have been written, in order.
  [[nodiscard]] std::vector<PlannedRequest> writes() const;
  /// What was read meanwhile, requests for tokens among it, in the order of the answers. URLs have
  /// no query: those of storage servers hold signatures.
  [[nodiscard]] std::vector<PlannedRequest> reads() const;

 private:
  struct Manifest {
    std::string bytes;
    std::string type;
    std::string digest;
  };

  /// What was written here before; nullopt when this is not asked for.
  std::optional<Result<HttpResponse>> recall(const HttpRequest& request, const std::string& path);
  Result<HttpResponse> read(const HttpRequest& request);
  Result<HttpResponse> put_manifest(const HttpRequest& request, const std::string& path);
  HttpResponse remove(const std::string& path);
  HttpResponse upload(const HttpRequest& request, const std::string& path);

  std::shared_ptr<Transport> below_;
  mutable std::mutex mutex_;
  std::vector<PlannedRequest> writes_;  // guarded by mutex_, as the next
  std::vector<PlannedRequest> reads_;
  std::map<std::string, Manifest> manifests_;   // by URL without query
  std::map<std::string, std::uint64_t> blobs_;  // sizes, by URL without query
};

}  // namespace fnimage::registry
