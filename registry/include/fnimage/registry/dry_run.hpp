// A transport that reads but does not write: what would be written is remembered, answered as a
// registry would, and seen by later reads of manifests and blobs, so that a whole publication can
// be played through. Thread-safety: may be used from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <fnimage/registry/transport.hpp>

namespace fnimage::registry {

struct PlannedRequest {
  std::string method;
  std::string url;
  std::uint64_t bytes = 0;  ///< of the body
};

class DryRunTransport final : public Transport {
 public:
  explicit DryRunTransport(std::shared_ptr<Transport> reads) : reads_(std::move(reads)) {}

  /// GET and HEAD, and requests for tokens, go to the registry unless they ask for what was
  /// "written" here. A mount from another repository is answered as done.
  Result<HttpResponse> perform(const HttpRequest& request) override;

  /// What would have been written, in order.
  [[nodiscard]] std::vector<PlannedRequest> writes() const;

 private:
  struct Manifest {
    std::string bytes;
    std::string type;
    std::string digest;
  };

  Result<HttpResponse> put_manifest(const HttpRequest& request, const std::string& path);
  HttpResponse upload(const HttpRequest& request, const std::string& path);

  std::shared_ptr<Transport> reads_;
  mutable std::mutex mutex_;
  std::vector<PlannedRequest> writes_;          // guarded by mutex_, as the next
  std::map<std::string, Manifest> manifests_;   // by URL without query
  std::map<std::string, std::uint64_t> blobs_;  // sizes, by URL without query
};

}  // namespace fnimage::registry
