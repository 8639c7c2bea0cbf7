// What a client is told that has to log in (RFC 9110 11.6.1; distribution, "Token Authentication
// Specification"). Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

/// Where tokens are given. Below /v2/, since that is what proxies in front of registries pass on;
/// no endpoint of the API has this form.
inline constexpr std::string_view token_path = "/v2/token";

/// "https://registry.example:5000/below" without a '/' at its end. Error: invalid_argument.
Result<std::string> check_external_url(std::string_view url);

/// Host and port by which clients reach the server. @param external_url empty: as the request says.
/// Empty = it says nothing that could be one.
std::string host_for_clients(const Request& request, std::string_view external_url);

/// What a token for a request has to be good for: "repository:a/b:pull,push". Empty = for nothing.
std::string wanted_scope(const Target& target, const Request& request);
/// The other repository that a blob is to be mounted from, if one is named.
std::optional<std::string> mount_source(const Target& target, const Request& request);

/// The value of WWW-Authenticate. @param external_url empty: as the request came. @param error
/// "invalid_token", "insufficient_scope" (RFC 6750 3.1) or empty.
std::string bearer_challenge(const Request& request, std::string_view external_url,
                             std::string_view scope, std::string_view error);
/// The same at the token server itself.
std::string basic_challenge();

}  // namespace fnimage::server
