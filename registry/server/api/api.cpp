#include "api/api.hpp"

#include <string_view>
#include <utility>

#include "access/challenge.hpp"
#include "api/blobs.hpp"
#include "api/listing.hpp"
#include "api/manifests.hpp"
#include "api/reply.hpp"
#include "api/target.hpp"
#include "api/uploads.hpp"

namespace fnimage::server {

namespace {

bool is_reading(std::string_view method) {
  return method == "GET" || method == "HEAD";
}

/// The methods of an endpoint, those that change something last.
std::string_view methods_of(Endpoint endpoint, const ApiOptions& options) {
  const bool can_delete = options.can_delete && !options.is_read_only;
  switch (endpoint) {
    case Endpoint::manifest:
      return options.is_read_only ? "GET, HEAD"
             : can_delete         ? "GET, HEAD, PUT, DELETE"
                                  : "GET, HEAD, PUT";
    case Endpoint::blob:
      return can_delete ? "GET, HEAD, DELETE" : "GET, HEAD";
    case Endpoint::uploads:
      return options.is_read_only ? "" : "POST";
    case Endpoint::upload:
      return options.is_read_only ? "" : "GET, HEAD, PATCH, PUT, DELETE";
    default:
      return "GET, HEAD";
  }
}

bool allows(std::string_view methods, std::string_view method) {
  while (!methods.empty()) {
    if (methods.substr(0, methods.find(',')) == method) {
      return true;
    }
    constexpr std::string_view separator = ", ";
    const std::size_t next = methods.find(separator);
    methods.remove_prefix(next == std::string_view::npos ? methods.size()
                                                         : next + separator.size());
  }
  return false;
}

Answer answer_manifest(const ApiContext& api, const Target& target, const Request& request) {
  if (request.method == "PUT") {
    return put_manifest(api, target, request);
  }
  return request.method == "DELETE" ? delete_manifest(api, target, request)
                                    : get_manifest(api, target, request);
}

Answer answer_upload(const ApiContext& api, const Target& target, const Request& request) {
  if (request.method == "PATCH") {
    return continue_upload(api, target, request);
  }
  if (request.method == "PUT") {
    return finish_upload(api, target, request);
  }
  return request.method == "DELETE" ? cancel_upload(api, target) : upload_state(api, target);
}

Answer dispatch(const ApiContext& api, const Target& target, const Request& request) {
  switch (target.endpoint) {
    case Endpoint::catalog:
      return list_repositories(api, request);
    case Endpoint::tags:
      return list_tags(api, target, request);
    case Endpoint::referrers:
      return list_referrers(api, target, request);
    case Endpoint::manifest:
      return answer_manifest(api, target, request);
    case Endpoint::blob:
      return request.method == "DELETE" ? delete_blob(api, target) : get_blob(api, target, request);
    case Endpoint::uploads:
      return begin_upload(api, target, request);
    case Endpoint::upload:
      return answer_upload(api, target, request);
    default:
      return json_reply("{}\n");
  }
}

}  // namespace

bool Api::is_quick(const Request& request) const {
  if (gate_ != nullptr && !Gate::is_quick(request)) {
    return false;
  }
  const auto target = parse_target(request.path);
  if (!target) {
    return true;
  }
  switch (target->endpoint) {
    case Endpoint::base:
    case Endpoint::tags:
    case Endpoint::upload:  // what takes long there is the end of a body
      return true;
    case Endpoint::manifest:
      return request.method != "DELETE";
    case Endpoint::blob:
      return is_reading(request.method);
    default:
      return false;
  }
}

Answer Api::answer(const Request& request) {
  if (gate_ != nullptr && request.path == token_path) {
    return gate_->answer_token(request);
  }
  const auto target = parse_target(request.path);
  if (!target) {
    return error_reply(status::not_found, code::unsupported, "there is nothing at this path");
  }
  auto placed =
      pull_through_ == nullptr ? PullThrough::Placed() : pull_through_->place(*target, request);
  if (auto* refusal = std::get_if<Response>(&placed)) {
    return std::move(*refusal);
  }
  const auto* place = std::get_if<Place>(&placed);
  return place == nullptr ? answer_own(request, *target) : answer_for(*place, request, *target);
}

void Api::complete(const Request& request, Response& response) const {
  if (request.path == "/v2" || request.path.starts_with("/v2/")) {
    // Docker's clients take a server without it for no registry.
    response.headers.push_back({"Docker-Distribution-API-Version", "registry/2.0"});
  }
}

Answer Api::answer_own(const Request& request, const Target& target) const {
  const std::string_view methods = methods_of(target.endpoint, context_.options);
  if (!allows(methods, request.method)) {
    return method_reply(methods);
  }
  return enter(request, target,
               [&](const ApiContext& context) { return dispatch(context, target, request); });
}

Answer Api::answer_for(const Place& place, const Request& request, Target target) const {
  target.repository = place.local;
  const std::string_view methods = PullThrough::methods_of(target.endpoint, context_.options);
  if (!allows(methods, request.method)) {
    return pull_through_->refuse(place, methods);
  }
  return enter(request, target, [&](const ApiContext& context) {
    return pull_through_->answer(context, place, target, request);
  });
}

template <class Then>
Answer Api::enter(const Request& request, const Target& target, Then then) const {
  if (gate_ == nullptr) {
    return then(context_);
  }
  auto entry = gate_->enter(request, target);
  if (auto* refusal = std::get_if<Response>(&entry)) {
    return std::move(*refusal);
  }
  ApiContext context = context_;
  context.caller = std::move(std::get<std::shared_ptr<const Caller>>(entry));
  return then(context);
}

}  // namespace fnimage::server
