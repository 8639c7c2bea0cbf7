// What the library tells its user while it works. The library never prints: it calls a Diagnostics
// sink, and the command line (or a controller) decides how that looks. Failures are not reported
// here, they are returned. Thread-safety: implementations must accept calls from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace fnimage {

enum class Severity : std::uint8_t { debug, info, warning };

/// Progress of one task, e.g. one layer or one blob. Updated from the working thread.
class ProgressTask {
 public:
  virtual ~ProgressTask() = default;
  /// @param done units finished so far (bytes or items), never decreasing except after a retry.
  virtual void update(std::uint64_t done) noexcept = 0;
  /// The last call: how it ended in a word or two ("done", "mounted", "cached", "failed").
  virtual void finish(std::string_view outcome) noexcept = 0;
};

class Diagnostics {
 public:
  virtual ~Diagnostics() = default;
  /// A message for the user. Text from outside is already made printable by the caller.
  virtual void report(Severity severity, std::string_view message) noexcept = 0;
  /// Begins a task. @param total units of the whole (0 = unknown); bytes unless the label says
  /// otherwise. Never null.
  virtual std::unique_ptr<ProgressTask> begin(std::string_view label,
                                              std::uint64_t total) noexcept = 0;
};

/// A sink that drops everything. Has static lifetime and no state.
Diagnostics& null_diagnostics() noexcept;

}  // namespace fnimage
