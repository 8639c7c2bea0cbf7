#include "api/access.hpp"

#include <utility>

#include <fmt/format.h>

#include "api/reply.hpp"

namespace fnimage::server {

std::variant<std::shared_ptr<Repository>, Response> existing_repository(const ApiContext& api,
                                                                        const std::string& name) {
  if (!is_valid_repository(name)) {
    return invalid_name_reply(name);
  }
  auto found = api.store.find(name);
  if (!found) {
    return failure_reply(found.error());
  }
  if (*found == nullptr) {
    return error_reply(status::not_found,
                       {{code::name_unknown, "there is no such repository here", name}});
  }
  return std::move(*found);
}

bool may_pull(const ApiContext& api, const std::string& name) {
  return api.caller == nullptr || api.caller->may(Right::pull, name);
}

bool is_listed(const ApiContext& api, const std::string& name) {
  // A token for the list is for no repository.
  return api.caller == nullptr || api.caller->rights_in(name).has(Right::pull);
}

std::string upload_owner(const ApiContext& api) {
  return api.caller == nullptr ? std::string() : api.caller->subject.str();
}

Response invalid_name_reply(const std::string& name) {
  return error_reply(
      status::bad_request,
      {{code::name_invalid,
        "a repository's name has lower-case letters, digits and single separators in "
        "parts joined by '/'",
        name}});
}

std::string location_of(const std::string& repository, std::string_view below) {
  return fmt::format("/v2/{}/{}", repository, below);
}

}  // namespace fnimage::server
