// What all endpoints need: the store, what is allowed, and how a repository is found.
// Thread-safety: values over a thread-safe store.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "access/caller.hpp"
#include "http/exchange.hpp"
#include "store/store.hpp"

namespace fnimage::server {

struct ApiOptions {
  bool can_delete = true;
  bool is_read_only = false;
  bool takes_sparse = false;  ///< manifests whose parts are not here may be put
};

struct ApiContext {
  Store& store;
  ApiOptions options;
  /// Who sends the request; null = everybody may do everything.
  std::shared_ptr<const Caller> caller{};
};

/// Whether a repository that the request's path does not name may be read, too.
bool may_pull(const ApiContext& api, const std::string& name);
/// Whether a list of repositories, which may be asked for, has this one.
bool is_listed(const ApiContext& api, const std::string& name);
/// Who may go on with an upload that the request begins; empty = everybody.
std::string upload_owner(const ApiContext& api);

/// The repository, or the answer that says why there is none.
std::variant<std::shared_ptr<Repository>, Response> existing_repository(const ApiContext& api,
                                                                        const std::string& name);

/// NAME_INVALID
Response invalid_name_reply(const std::string& name);

/// "/v2/<name>/<below>"
std::string location_of(const std::string& repository, std::string_view below);

}  // namespace fnimage::server
