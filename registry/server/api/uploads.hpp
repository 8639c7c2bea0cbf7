// /v2/<name>/blobs/uploads/: all ways to upload a blob (distribution-spec end-4 to end-6, end-11,
// end-13, end-14). Thread-safety: pure but for the store.
#pragma once

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

/// POST: a new upload, a mount, or a whole blob.
Answer begin_upload(const ApiContext& api, const Target& target, const Request& request);
/// PATCH: the next bytes.
Answer continue_upload(const ApiContext& api, const Target& target, const Request& request);
/// PUT: perhaps the last bytes, and the digest.
Answer finish_upload(const ApiContext& api, const Target& target, const Request& request);
/// GET: how far it is.
Response upload_state(const ApiContext& api, const Target& target);
Response cancel_upload(const ApiContext& api, const Target& target);

}  // namespace fnimage::server
