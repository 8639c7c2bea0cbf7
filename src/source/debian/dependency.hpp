// Relations between packages: Debian Policy chapter 7, deb-control(5) "Depends". Architecture
// qualifiers (":any",
// ":native") and architecture lists ("[amd64 !i386]") are understood; build profiles are not needed
// in binary packages. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::source::debian {

enum class Relation : std::uint8_t { any, earlier, earlier_or_equal, equal, later_or_equal, later };

/// One alternative of a dependency. Views into the field's text.
struct Alternative {
  std::string_view name;
  std::string_view qualifier;  ///< "any", "native", an architecture, or empty
  Relation relation = Relation::any;
  std::string_view version;

  /// True when a package of this version would do.
  [[nodiscard]] bool accepts(std::string_view candidate_version) const noexcept;
  /// "libc6 (>= 2.34)"
  [[nodiscard]] std::string str() const;
};

/// Alternatives in order of preference: any one of them will do.
using Clause = std::vector<Alternative>;

/// Parses Depends, Pre-Depends, Conflicts, Breaks, Provides, Replaces. Alternatives that are not
/// for `architecture` are left out. Error: invalid_input naming `what` (the package and field).
Result<std::vector<Clause>> parse_dependencies(std::string_view text, std::string_view architecture,
                                               std::string_view what);

/// "a (>= 1) | b"
std::string to_string(const Clause& clause);

}  // namespace fnimage::source::debian
