// /v2/<name>/blobs/<digest>: get, delete (distribution-spec end-2, end-10). Thread-safety: pure but
// for the store.
#pragma once

#include <cstdint>
#include <memory>

#include <fnimage/manifest/digest.hpp>

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

Response get_blob(const ApiContext& api, const Target& target, const Request& request);
Response delete_blob(const ApiContext& api, const Target& target);

/// GET and HEAD of a blob that still comes. @param size bytes, in the end
Response coming_blob_reply(const Request& request, const manifest::Digest& digest,
                           std::shared_ptr<GrowingFile> file, std::uint64_t size);

/// DIGEST_INVALID
Response invalid_digest_reply(const std::string& text);

}  // namespace fnimage::server
