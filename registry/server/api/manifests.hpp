// /v2/<name>/manifests/<reference>: get, put, delete (distribution-spec end-3, end-7, end-9).
// Thread-safety: pure but for the store.
#pragma once

#include <string>
#include <variant>

#include <fnimage/registry/store.hpp>

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

/// MANIFEST_UNKNOWN
Response unknown_manifest(const std::string& reference);
/// What the last part of the path names, or the answer. @param no_tag makes the answer when it is
/// neither a tag nor meant as a digest: nothing can be put there, and who reads or deletes finds
/// nothing.
std::variant<registry::Selector, Response> selector_of(
    const std::string& reference, Response (&no_tag)(const std::string& reference));

Response get_manifest(const ApiContext& api, const Target& target, const Request& request);
Answer put_manifest(const ApiContext& api, const Target& target, const Request& request);
Response delete_manifest(const ApiContext& api, const Target& target, const Request& request);

}  // namespace fnimage::server
