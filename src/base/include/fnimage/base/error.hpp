// Errors as values. Every fallible function of fnimage returns Result<T> (result.hpp) whose error
// is this class: what kind of failure it is, what happened, what was being done, and what the user
// can do about it. Thread-safety: a value type; distinct objects may be used from distinct threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fnimage {

/// The class of a failure. Closed on purpose: exit codes and retry decisions follow it.
enum class ErrorCode : std::uint8_t {
  invalid_argument,   ///< the caller or the command line asked for something that cannot be
  invalid_input,      ///< a build file, manifest, archive or package is malformed
  not_found,          ///< a file, tag, manifest, package or platform does not exist
  already_exists,     ///< would overwrite something that must not be overwritten
  permission_denied,  ///< the file system refused
  unauthorized,       ///< the registry wants (other) credentials or denies this action
  unavailable,        ///< network failure: refused, timed out, reset, name not resolved, 5xx
  tls,                ///< certificate or handshake problem
  protocol,           ///< the peer answered something that the protocol does not allow
  rate_limited,       ///< 429 or an equivalent answer
  verification,       ///< digest, size or signature does not match
  platform_mismatch,  ///< a platform is missing, duplicated or not what the files are
  no_space,           ///< disk or quota full
  unsupported,        ///< valid, but not something fnimage or the peer can do
  io,                 ///< any other failure of the operating system
  cancelled,          ///< stopped on request
  internal            ///< a bug in fnimage
};

/// Stable lower-case name of a code ("not_found"), as used in --json output.
std::string_view to_string(ErrorCode code) noexcept;

/// Process exit code for a class of failure; a contract, never renumbered:
/// internal 1, invalid_argument 2, invalid_input 3, not_found 4, already_exists 5,
/// permission_denied 6, unauthorized 7, unavailable 8, tls 9, protocol 10, rate_limited 11,
/// verification 12, platform_mismatch 13, no_space 14, unsupported 15, io 16, cancelled 130.
int exit_code(ErrorCode code) noexcept;

/// A failure: code, one-sentence message, the chain of what was being done, and a hint with a way
/// out.
class Error {
 public:
  /// @param message what failed and where: lower-case start, no trailing period.
  Error(ErrorCode code, std::string message);

  /// Says what the user can do. Replaces nothing if a hint closer to the cause is already there.
  Error&& with_hint(std::string hint) &&;
  /// Adds "while …" context, innermost first: `push serverless:30501/action:latest`.
  Error&& while_doing(std::string what) &&;
  /// Marks that the same operation may succeed when tried again.
  Error&& retryable(bool value = true) &&;
  /// Records the HTTP status that led to this error (0 = none).
  Error&& with_http_status(int status) &&;

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
  [[nodiscard]] const std::vector<std::string>& context() const noexcept { return context_; }
  [[nodiscard]] bool is_retryable() const noexcept { return retryable_; }
  [[nodiscard]] int http_status() const noexcept { return http_status_; }

  /// "outermost: …: message" on one line, without the hint.
  [[nodiscard]] std::string describe() const;

 private:
  std::string message_;
  std::string hint_;
  std::vector<std::string> context_;
  int http_status_ = 0;
  ErrorCode code_;
  bool retryable_ = false;
};

/// Builds an Error from an errno value; maps ENOENT, EACCES, ENOSPC and the like to their codes and
/// adds the hint that follows. @param what the operation and its object: `open /path/file`.
Error error_from_errno(int errno_value, std::string_view what);

}  // namespace fnimage
