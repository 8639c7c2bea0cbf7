// A repository of a registry as an ImageStore: distribution-spec 1.1 over a Session. Thread-safety:
// see ImageStore.
#pragma once

#include <memory>
#include <string>

#include <fnimage/registry/store.hpp>

#include "session.hpp"

namespace fnimage::registry {

class Mirrors;

/// @param mirrors where content is read from first; may be null.
std::unique_ptr<ImageStore> make_repository_store(std::shared_ptr<Session> session,
                                                  std::string repository,
                                                  std::shared_ptr<Mirrors> mirrors = nullptr);

/// The target of `rel=next` in a Link header (RFC 8288); nullopt when there is none.
std::optional<std::string> next_link(std::string_view header);

}  // namespace fnimage::registry
