#include "upstream/replies.hpp"

#include <string>

#include <fmt/format.h>

#include "api/reply.hpp"

namespace fnimage::server {

namespace {

Response try_later_reply(std::string message) {
  Response response = error_reply(status::unavailable, code::unknown, std::move(message));
  response.headers.push_back({"Retry-After", "10"});
  return response;
}

}  // namespace

Response upstream_failure_reply(const Error& error, const Upstream& upstream, const Place& place,
                                std::string_view unknown) {
  const std::string& registry = upstream.registry;
  switch (error.code()) {
    case ErrorCode::not_found:
      return error_reply(status::not_found,
                         {{unknown, "it is neither here nor at " + registry, place.remote}});
    case ErrorCode::unauthorized:
      // Many registries say so of what does not exist. Clients go on elsewhere after a 404.
      return error_reply(status::not_found,
                         {{code::denied,
                           fmt::format("{} does not let this server read it: there is no such "
                                       "repository, or whoever runs this server has to give it "
                                       "credentials for it",
                                       registry),
                           place.remote}});
    case ErrorCode::unavailable:
    case ErrorCode::tls:
    case ErrorCode::rate_limited:
    case ErrorCode::cancelled:
      return try_later_reply(fmt::format("it is not here, and {} does not answer now ({})",
                                         registry, to_string(error.code())));
    case ErrorCode::verification:
    case ErrorCode::protocol:
    case ErrorCode::invalid_input:
    case ErrorCode::unsupported:
      return error_reply(status::bad_gateway,
                         {{code::unknown,
                           fmt::format("what {} sent is not what was asked for ({})", registry,
                                       to_string(error.code())),
                           place.remote}});
    default:
      return failure_reply(error);
  }
}

void add_stale_warning(Response& response) {
  response.headers.push_back({"Warning", "110 - \"response is stale\""});
}

Response not_ours_reply(const Upstream& upstream, std::string_view allowed) {
  Response response =
      error_reply(status::method_not_allowed, code::unsupported,
                  fmt::format("this repository is one of {}: push there, what is here follows",
                              upstream.registry));
  response.headers.push_back({"Allow", std::string(allowed)});
  return response;
}

}  // namespace fnimage::server
