// Lists that a registry gives in pages (distribution-spec, Listing Tags): each page names the next
// in its Link header. A registry may answer anything: pages that go round in circles, lead
// elsewhere or never end are errors. Thread-safety: functions without state.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "session.hpp"

namespace fnimage::registry {

/// GETs a listing and its further pages, handing each answer to `take` until it returns false.
/// @param what for messages. Error: protocol.
Result<void> read_pages(Session& session, Url url, const Scopes& scopes, const std::string& what,
                        const std::function<Result<bool>(const HttpResponse&)>& take);

/// Adds the strings of an answer's list that `accepts`, e.g. the "tags" of {"tags": ["a", "b"]}.
/// Anything else in the list is passed over. @return how many that were
Result<std::size_t> add_strings(const HttpResponse& response, std::string_view key,
                                const std::string& what, bool (*accepts)(std::string_view),
                                std::vector<std::string>& names);

/// The repositories of a registry that the caller may see, sorted. Names that are none are passed
/// over with a warning. Errors: unsupported where there is no catalog, protocol for more than
/// 200,000 names.
Result<std::vector<std::string>> list_repositories(Session& session);

}  // namespace fnimage::registry
