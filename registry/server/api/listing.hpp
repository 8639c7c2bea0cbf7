// Lists of tags, repositories and referrers, page by page (distribution-spec end-8, end-12;
// distribution's _catalog). Thread-safety: pure but for the store.
#pragma once

#include <string>
#include <vector>

#include <fnimage/manifest/descriptor.hpp>

#include "api/access.hpp"
#include "api/target.hpp"
#include "http/exchange.hpp"

namespace fnimage::server {

/// The page of these (sorted) that is asked for.
Response tags_reply(const Target& target, const Request& request,
                    const std::vector<std::string>& tags);
/// Those of these (sorted by digest) that are asked for.
Response referrers_reply(const Target& target, const Request& request,
                         std::vector<manifest::Descriptor> referrers);

Response list_tags(const ApiContext& api, const Target& target, const Request& request);
Response list_repositories(const ApiContext& api, const Request& request);
Response list_referrers(const ApiContext& api, const Target& target, const Request& request);

}  // namespace fnimage::server
