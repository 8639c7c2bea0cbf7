// What `fnimage sync` says at its end. Thread-safety: pure functions.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include <fnimage/registry/sync.hpp>

namespace fnimage::cli {

/// A line for each tag that is not as it was, and the sum.
std::string sync_text(const registry::SyncResult& result, bool is_dry_run);
nlohmann::ordered_json sync_json(const registry::SyncResult& result, bool is_dry_run);

/// Of the whole command, when something failed.
Error sync_error(const registry::SyncResult& result);

}  // namespace fnimage::cli
