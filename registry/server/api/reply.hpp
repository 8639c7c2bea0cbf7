// The answers of the registry's API: their headers and its error bodies (distribution-spec, Error
// Codes). Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/error.hpp>
#include <fnimage/manifest/digest.hpp>

#include "http/exchange.hpp"

namespace fnimage::server {

namespace status {
inline constexpr int ok = 200;
inline constexpr int created = 201;
inline constexpr int accepted = 202;
inline constexpr int no_content = 204;
inline constexpr int partial_content = 206;
inline constexpr int not_modified = 304;
inline constexpr int bad_request = 400;
inline constexpr int unauthorized = 401;
inline constexpr int forbidden = 403;
inline constexpr int not_found = 404;
inline constexpr int method_not_allowed = 405;
inline constexpr int precondition_failed = 412;
inline constexpr int too_large = 413;
inline constexpr int unsupported_media_type = 415;
inline constexpr int range_not_satisfiable = 416;
inline constexpr int too_many_requests = 429;
inline constexpr int internal_error = 500;
inline constexpr int bad_gateway = 502;
inline constexpr int unavailable = 503;
inline constexpr int insufficient_storage = 507;
}  // namespace status

/// The codes that the specification knows.
namespace code {
inline constexpr std::string_view blob_unknown = "BLOB_UNKNOWN";
inline constexpr std::string_view blob_upload_invalid = "BLOB_UPLOAD_INVALID";
inline constexpr std::string_view blob_upload_unknown = "BLOB_UPLOAD_UNKNOWN";
inline constexpr std::string_view digest_invalid = "DIGEST_INVALID";
inline constexpr std::string_view manifest_blob_unknown = "MANIFEST_BLOB_UNKNOWN";
inline constexpr std::string_view manifest_invalid = "MANIFEST_INVALID";
inline constexpr std::string_view manifest_unknown = "MANIFEST_UNKNOWN";
inline constexpr std::string_view name_invalid = "NAME_INVALID";
inline constexpr std::string_view name_unknown = "NAME_UNKNOWN";
inline constexpr std::string_view size_invalid = "SIZE_INVALID";
inline constexpr std::string_view denied = "DENIED";
inline constexpr std::string_view unauthorized = "UNAUTHORIZED";
inline constexpr std::string_view unsupported = "UNSUPPORTED";
inline constexpr std::string_view too_many_requests = "TOOMANYREQUESTS";
/// For what is wrong with the server: of those codes none says that.
inline constexpr std::string_view unknown = "UNKNOWN";
}  // namespace code

/// One entry of an error body.
struct ApiError {
  std::string_view code;
  std::string message;
  std::string detail{};  ///< empty = absent
};

Response error_reply(int status, const std::vector<ApiError>& errors);
inline Response error_reply(int status, std::string_view code, std::string message) {
  return error_reply(status, {{code, std::move(message)}});
}
/// What went wrong in the store: 507 for no_space, 429 for rate_limited, else 500. Says nothing of
/// paths on this machine.
Response failure_reply(const Error& error);
/// 405 with the methods that are allowed: "GET, HEAD".
Response method_reply(std::string_view allowed);
/// 412
Response refused_reply();

Response json_reply(std::string body);
/// Docker-Content-Digest and ETag.
void add_digest(Response& response, const manifest::Digest& digest);
/// `"<digest>"`, an entity tag (RFC 9110 8.8.3)
std::string entity_tag(const manifest::Digest& digest);

}  // namespace fnimage::server
