// /v2/<name>/blobs/<digest>: get, delete (distribution-spec end-2, end-10). Thread-safety: pure but
// for the store.
#pragma once

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

Response get_blob(const ApiContext& api, const Target& target, const Request& request);
Response delete_blob(const ApiContext& api, const Target& target);

/// DIGEST_INVALID
Response invalid_digest_reply(const std::string& text);

}  // namespace fnimage::server
