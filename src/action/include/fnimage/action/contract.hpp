// Holds a running action to OpenWhisk's contract. It has to be fresh, since an action is
// initialised once. Nothing is assumed of it: what it answers, or does not, is a finding.
// Thread-safety: may be called from several threads, for different actions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/action/client.hpp>
#include <fnimage/base/diagnostics.hpp>
#include <fnimage/base/result.hpp>

namespace fnimage::action {

struct ExpectedCall {
  std::string arguments;  ///< JSON object or array
  /// JSON: the members of an object have to be in the result, an array has to be the result.
  std::string expected;
};

enum class Verdict : std::uint8_t { ok, failed, skipped };
/// "ok", "FAIL", "skipped"
std::string_view to_string(Verdict verdict) noexcept;

struct ContractCheck {
  std::string name{};  ///< "run before init"
  Verdict verdict = Verdict::ok;
  std::string detail{};  ///< printable; empty when it holds
  std::string fix{};     ///< what to do; may be empty
};

/// Goes on after what fails, but not when an answer did not come in time or nothing answers any
/// more: the rest is skipped then. Errors: cancelled; unavailable when nothing answers from the
/// beginning on.
Result<std::vector<ContractCheck>> check_contract(const Client& client,
                                                  const std::vector<ExpectedCall>& calls,
                                                  Diagnostics& diagnostics);

}  // namespace fnimage::action
