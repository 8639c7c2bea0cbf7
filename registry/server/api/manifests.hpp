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

/// What the last part of the path names, or the answer when that is nothing.
std::variant<registry::Selector, Response> selector_of(const std::string& reference);

Response get_manifest(const ApiContext& api, const Target& target, const Request& request);
Answer put_manifest(const ApiContext& api, const Target& target, const Request& request);
Response delete_manifest(const ApiContext& api, const Target& target, const Request& request);

}  // namespace fnimage::server
