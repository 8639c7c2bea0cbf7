// The part of the API that answers for upstreams: from what is here, and what is not here is asked
// for there. Nobody who calls it waits for an upstream: such answers come later. Thread-safety: all
// methods from several threads.
#pragma once

#include <memory>
#include <stop_token>
#include <string_view>
#include <variant>
#include <vector>

#include <fnimage/base/result.hpp>
#include <fnimage/server/upstream.hpp>

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"
#include "upstream/blob_fetches.hpp"
#include "upstream/listings.hpp"
#include "upstream/manifest_pulls.hpp"
#include "upstream/place.hpp"
#include "upstream/remote.hpp"

namespace fnimage::server {

class PullThrough {
 public:
  /// The store is not owned and lives longer. Does no network. Errors: invalid_argument (two
  /// upstreams with one prefix), those of the credentials.
  static Result<std::unique_ptr<PullThrough>> open(UpstreamOptions options, Store& store);
  PullThrough(const PullThrough&) = delete;
  PullThrough& operator=(const PullThrough&) = delete;
  ~PullThrough() { stop(); }

  /// Where a request's repository is, if that is an upstream; a refusal when it names an origin
  /// that this server does not know ("ns", see Places::of_origin).
  using Placed = std::variant<std::monostate, Place, Response>;
  [[nodiscard]] Placed place(const Target& target, const Request& request) const;

  /// The methods for an endpoint of an upstream's repository.
  static std::string_view methods_of(Endpoint endpoint, const ApiOptions& options);
  /// 405
  [[nodiscard]] Response refuse(const Place& place, std::string_view allowed) const;
  /// Answers one that is allowed. @param target with the repository's name here.
  Answer answer(const ApiContext& api, const Place& place, const Target& target,
                const Request& request);
  /// Ends what is under way, and waits for it.
  void stop();

 private:
  struct Call;
  using CallPtr = std::shared_ptr<const Call>;

  PullThrough(UpstreamOptions options, Store& store);
  Result<void> connect();
  Answer get_manifest(const CallPtr& call);
  Answer get_blob(const CallPtr& call);
  Answer list_tags(const CallPtr& call);
  Answer list_referrers(const CallPtr& call);
  void look_for_blob(const CallPtr& call, const manifest::Digest& digest,
                     const Responder& responder);
  void fetch_blob(const CallPtr& call, const manifest::Digest& digest, const Responder& responder);
  [[nodiscard]] Remote& remote_of(const Place& place) const { return *remotes_[place.upstream]; }
  [[nodiscard]] Response failure(const Call& call, const Error& error,
                                 std::string_view unknown) const;

  const UpstreamOptions options_;
  const Places places_;
  std::stop_source stop_{};
  ManifestPulls manifests_;
  BlobFetches blobs_;
  Listings listings_;
  std::vector<std::unique_ptr<Remote>> remotes_{};  ///< end first, with their threads
};

}  // namespace fnimage::server
