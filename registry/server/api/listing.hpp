// Lists of tags, repositories and referrers, page by page (distribution-spec end-8, end-12;
// distribution's _catalog). Thread-safety: pure but for the store.
#pragma once

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

Response list_tags(const ApiContext& api, const Target& target, const Request& request);
Response list_repositories(const ApiContext& api, const Request& request);
Response list_referrers(const ApiContext& api, const Target& target, const Request& request);

}  // namespace fnimage::server
