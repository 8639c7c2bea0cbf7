#include "upstream/pull_through.hpp"

#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/caught.hpp>

#include "api/blobs.hpp"
#include "api/listing.hpp"
#include "api/manifests.hpp"
#include "api/reply.hpp"
#include "upstream/replies.hpp"

namespace fnimage::server {

namespace {

using manifest::Digest;

/// A peer that sends less than so many bytes in a second, for the time of a stall, is none.
constexpr std::uint32_t slowest = 1024;
constexpr std::size_t more_connections = 2;  // than fetches

bool is_answered_here(const Response& response) {
  return response.status != status::not_found;
}

}  // namespace

/// What is needed to answer later.
struct PullThrough::Call {
  ApiContext api;
  Place place;
  Target target;
  Request request;
};

Result<std::unique_ptr<PullThrough>> PullThrough::open(UpstreamOptions options, Store& store) {
  std::set<std::string_view> prefixes;
  for (const Upstream& upstream : options.upstreams) {
    if (!prefixes.insert(upstream.prefix).second) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("there are two upstreams with the prefix \"{}\"", upstream.prefix),
                  "give each a prefix of its own");
    }
  }
  std::unique_ptr<PullThrough> made(new PullThrough(std::move(options), store));
  FNIMAGE_CHECK(made->connect());
  made->blobs_.clean_up();
  return made;
}

PullThrough::PullThrough(UpstreamOptions options, Store& store)
    : options_(std::move(options)),
      places_(options_.upstreams),
      manifests_(store, options_),
      blobs_(store, options_),
      listings_(options_) {}

Result<void> PullThrough::connect() {
  if (options_.credentials) {
    FNIMAGE_CHECK(options_.credentials());  // what is wrong with them is told now
  }
  FNIMAGE_TRY(auto transport, registry::make_curl_transport(
                                  {.connections_per_host = options_.fetches + more_connections,
                                   .connect_timeout = options_.connect_time,
                                   .stall_timeout = options_.stall_time,
                                   .min_speed = slowest,
                                   .hosts = {},
                                   .stop = stop_.get_token()}));
  const std::shared_ptr<registry::Transport> shared = std::move(transport);
  for (const Upstream& upstream : places_.upstreams()) {
    remotes_.push_back(std::make_unique<Remote>(upstream, options_, shared));
  }
  return {};
}

void PullThrough::stop() {
  stop_.request_stop();
  for (const auto& remote : remotes_) {
    remote->join();
  }
}

PullThrough::Placed PullThrough::place(const Target& target, const Request& request) const {
  const bool has_repository =
      target.endpoint != Endpoint::base && target.endpoint != Endpoint::catalog;
  if (!has_repository || !is_valid_repository(target.repository)) {
    return std::monostate();
  }
  const auto origin = Query(request.query).get("ns");
  auto found =
      origin ? places_.of_origin(*origin, target.repository) : places_.of_name(target.repository);
  if (!found && origin) {
    return error_reply(
        status::not_found,
        {{code::name_unknown, "this server does not stand for that registry", *origin}});
  }
  if (!found) {
    return std::monostate();
  }
  if (!is_valid_repository(found->local)) {  // too long with the prefix
    return invalid_name_reply(found->local);
  }
  return std::move(*found);
}

std::string_view PullThrough::methods_of(Endpoint endpoint, const ApiOptions& options) {
  const bool can_delete = options.can_delete && !options.is_read_only;
  switch (endpoint) {
    case Endpoint::manifest:
    case Endpoint::blob:
      return can_delete ? "GET, HEAD, DELETE" : "GET, HEAD";
    case Endpoint::uploads:
    case Endpoint::upload:
      return "";
    default:
      return "GET, HEAD";
  }
}

Response PullThrough::refuse(const Place& place, std::string_view allowed) const {
  return not_ours_reply(places_.upstreams()[place.upstream], allowed);
}

Answer PullThrough::answer(const ApiContext& api, const Place& place, const Target& target,
                           const Request& request) {
  const bool is_removal = request.method == "DELETE";
  if (is_removal && target.endpoint == Endpoint::manifest) {
    return delete_manifest(api, target, request);
  }
  if (is_removal) {
    return delete_blob(api, target);
  }
  const auto call = std::make_shared<const Call>(Call{api, place, target, request});
  switch (target.endpoint) {
    case Endpoint::manifest:
      return get_manifest(call);
    case Endpoint::blob:
      return get_blob(call);
    case Endpoint::tags:
      return list_tags(call);
    default:
      return list_referrers(call);
  }
}

Response PullThrough::failure(const Call& call, const Error& error,
                              std::string_view unknown) const {
  return upstream_failure_reply(error, places_.upstreams()[call.place.upstream], call.place,
                                unknown);
}

Answer PullThrough::get_manifest(const CallPtr& call) {
  auto selector = selector_of(call->target.reference, unknown_manifest);
  if (auto* refusal = std::get_if<Response>(&selector)) {
    return std::move(*refusal);
  }
  const auto reply = [](const Call& of, Freshness freshness) {
    Response response = server::get_manifest(of.api, of.target, of.request);
    if (freshness == Freshness::stale) {
      add_stale_warning(response);
    }
    return response;
  };
  const auto& wanted = std::get<registry::Selector>(selector);
  if (const auto standing = manifests_.standing(call->place, wanted)) {
    Response response = reply(*call, *standing);
    if (is_answered_here(response)) {
      return response;
    }
  }
  return LateAnswer([this, call, wanted, reply](const Responder& responder) {
    manifests_.pull(remote_of(call->place), call->place, wanted,
                    [this, call, reply, responder](const Result<Freshness>& result) {
                      responder(result ? reply(*call, *result)
                                       : failure(*call, result.error(), code::manifest_unknown));
                    });
  });
}

Answer PullThrough::get_blob(const CallPtr& call) {
  Response response = server::get_blob(call->api, call->target, call->request);
  const auto digest = Digest::parse(call->target.reference);
  if (!digest || is_answered_here(response)) {
    return response;
  }
  if (call->request.method == "HEAD") {
    return LateAnswer([this, call, digest = *digest](const Responder& responder) {
      look_for_blob(call, digest, responder);
    });
  }
  return LateAnswer([this, call, digest = *digest](const Responder& responder) {
    fetch_blob(call, digest, responder);
  });
}

/// Whoever asks only whether it is there may not want it.
void PullThrough::look_for_blob(const CallPtr& call, const Digest& digest,
                                const Responder& responder) {
  Remote& remote = remote_of(call->place);
  const auto look = [&remote, call, digest]() -> Result<std::optional<std::uint64_t>> {
    if (const auto down = remote.is_down()) {
      return fail(*down);
    }
    FNIMAGE_TRY(const auto from, remote.repository(call->place.remote));
    auto* source = registry::blob_source_of(*from);
    return source == nullptr ? std::nullopt : source->blob_size(digest);
  };
  const auto task = [this, &remote, call, digest, responder, look] {
    const auto size = caught(look);
    if (!size) {
      remote.failed(size.error());
      return responder(failure(*call, size.error(), code::blob_unknown));
    }
    remote.succeeded();
    responder(*size ? coming_blob_reply(call->request, digest, nullptr, **size)
                    : failure(*call, Error(ErrorCode::not_found, ""), code::blob_unknown));
  };
  if (!remote.ask(task)) {
    responder(failure(*call, Error(ErrorCode::rate_limited, ""), code::blob_unknown));
  }
}

void PullThrough::fetch_blob(const CallPtr& call, const Digest& digest,
                             const Responder& responder) {
  blobs_.fetch(remote_of(call->place), call->place, digest,
               [this, call, digest, responder](const BlobFetches::Outcome& outcome) {
                 if (!outcome) {
                   return responder(failure(*call, outcome.error(), code::blob_unknown));
                 }
                 responder(*outcome ? coming_blob_reply(call->request, digest, (*outcome)->file,
                                                        (*outcome)->size)
                                    : server::get_blob(call->api, call->target, call->request));
               });
}

Answer PullThrough::list_tags(const CallPtr& call) {
  const auto take = [this, call](const Result<Listings::List<std::string>>& list) {
    if (list) {
      return tags_reply(call->target, call->request, **list);
    }
    Response local = server::list_tags(call->api, call->target, call->request);
    const bool is_answer = list.error().code() == ErrorCode::not_found ||
                           list.error().code() == ErrorCode::unauthorized;
    if (is_answer || !is_answered_here(local)) {
      return failure(*call, list.error(), code::name_unknown);
    }
    add_stale_warning(local);
    return local;
  };
  return LateAnswer([this, call, take](const Responder& responder) {
    listings_.tags(remote_of(call->place), call->place,
                   [take, responder](const auto& list) { responder(take(list)); });
  });
}

Answer PullThrough::list_referrers(const CallPtr& call) {
  const auto digest = Digest::parse(call->target.reference);
  if (!digest) {
    return invalid_digest_reply(call->target.reference);
  }
  const auto take = [this, call](const Result<Listings::List<manifest::Descriptor>>& list) {
    if (list) {
      return referrers_reply(call->target, call->request, **list);
    }
    if (list.error().code() == ErrorCode::unauthorized) {
      return failure(*call, list.error(), code::name_unknown);
    }
    Response local = server::list_referrers(call->api, call->target, call->request);
    add_stale_warning(local);
    return local;
  };
  return LateAnswer([this, call, take, digest = *digest](const Responder& responder) {
    listings_.referrers(remote_of(call->place), call->place, digest,
                        [take, responder](const auto& list) { responder(take(list)); });
  });
}

}  // namespace fnimage::server
