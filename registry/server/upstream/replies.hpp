// Answers about what an upstream has said, or could not be asked. They say nothing of credentials,
// and of errors only their kind: the rest is for whoever runs the server. Thread-safety: pure
// functions.
#pragma once

#include <string_view>

#include <fnimage/base/error.hpp>

#include "http/exchange.hpp"
#include "upstream/place.hpp"

namespace fnimage::server {

/// @param unknown the code for what is not there.
Response upstream_failure_reply(const Error& error, const Upstream& upstream, const Place& place,
                                std::string_view unknown);
/// "Warning: 110": what is here is given since the upstream could not be asked (RFC 7234 5.5.1).
void add_stale_warning(Response& response);
/// 405 for what would change a repository that is somebody else's.
Response not_ours_reply(const Upstream& upstream, std::string_view allowed);

}  // namespace fnimage::server
