// --dry-run: a command's work done against registries that are only read, and what would have been
// written. Thread-safety: belongs to one thread.
#pragma once

#include <functional>

#include <nlohmann/json.hpp>

#include "session.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

/// --dry-run
void add_dry_run_flag(CLI::App& command, bool& dry_run);

/// Runs `work` with nothing written to any registry and no progress shown, then prints each request
/// that would be written, and how much there is in all. `work` prints nothing itself when
/// session.dry_run() is set. Call it before session.client().
/// @param about what goes before the requests in the JSON; may be null. Asked when work has ended.
Result<void> rehearse(Session& session, const std::function<Result<void>()>& work,
                      const std::function<nlohmann::ordered_json()>& about = {});

/// For commands that can also change what is on this machine. Error: invalid_argument for anything
/// but a registry while rehearsing.
Result<void> require_registry_in_dry_run(const registry::Location& location,
                                         const Session& session);

}  // namespace fnimage::cli
