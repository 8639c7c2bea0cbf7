#include "api/reply.hpp"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/text.hpp>

namespace fnimage::server {

namespace {

/// What may be shown of messages, which repeat what clients sent.
constexpr std::size_t longest_message = 500;

}  // namespace

Response error_reply(int status, const std::vector<ApiError>& errors) {
  auto list = nlohmann::json::array();
  for (const ApiError& error : errors) {
    nlohmann::json entry{{"code", error.code},
                         {"message", printable(error.message, longest_message)}};
    if (!error.detail.empty()) {
      entry["detail"] = printable(error.detail, longest_message);
    }
    list.push_back(std::move(entry));
  }
  Response response = json_reply(nlohmann::json{{"errors", std::move(list)}}.dump() + "\n");
  response.status = status;
  return response;
}

Response failure_reply(const Error& error) {
  switch (error.code()) {
    case ErrorCode::no_space:
      return error_reply(status::insufficient_storage, code::unknown,
                         "the registry's disk is full: remove content, or try again later");
    case ErrorCode::rate_limited: {
      Response response =
          error_reply(status::too_many_requests, code::too_many_requests, error.message());
      response.headers.push_back({"Retry-After", "10"});
      return response;
    }
    default:
      return error_reply(status::internal_error, code::unknown,
                         fmt::format("the registry's store failed ({})", to_string(error.code())));
  }
}

Response method_reply(std::string_view allowed) {
  Response response =
      error_reply(status::method_not_allowed, code::unsupported, "this method is not allowed here");
  response.headers.push_back({"Allow", std::string(allowed)});
  return response;
}

Response refused_reply() {
  return error_reply(status::precondition_failed, code::denied,
                     "it does not stand where If-Match or If-None-Match says: nothing was changed");
}

Response json_reply(std::string body) {
  Response response;
  response.headers.push_back({"Content-Type", "application/json"});
  response.body = std::move(body);
  return response;
}

void add_digest(Response& response, const manifest::Digest& digest) {
  response.headers.push_back({"Docker-Content-Digest", digest.str()});
  response.headers.push_back({"ETag", entity_tag(digest)});
}

std::string entity_tag(const manifest::Digest& digest) {
  return fmt::format("\"{}\"", digest.str());
}

}  // namespace fnimage::server
