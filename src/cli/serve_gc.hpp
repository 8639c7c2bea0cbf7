// What fnimage serve and fnimage serve gc share: the options about garbage, and how a collection is
// told of. Thread-safety: pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <fnimage/base/result.hpp>
#include <fnimage/server/gc.hpp>

#include "console.hpp"

namespace CLI {
class App;
}

namespace fnimage::cli {

/// The options of fnimage serve.
struct GcArguments {
  std::string every;  ///< empty = never
  std::string grace;
  bool removes_untagged = false;
};

void add_gc_options(CLI::App& command, GcArguments& arguments);
/// Nullopt: nothing is collected. What is collected, or wrong, is reported on the console, which
/// must outlive it. Error: invalid_argument.
Result<std::optional<server::GcSchedule>> gc_schedule(const GcArguments& arguments,
                                                      Console& console);

/// "90s", "10m", "24h", "7d". Error: invalid_argument. @param option for its message.
Result<std::chrono::seconds> parse_duration(const std::string& text, const std::string& option);
/// Errors: also for less than what others who write to the store rely on.
Result<std::chrono::seconds> parse_grace(const std::string& text, const std::string& option);

/// "3 manifests, 12 blobs, 1 leftover: 45.1 MiB"; "nothing".
std::string garbage_text(const server::GarbageCounts& counts);

}  // namespace fnimage::cli
