// Fixed tokens: secrets of machines that are good for what their lines say, until a time or for
// ever. The file has the secrets' SHA-256 only; that it is a fast hash does no harm, since they are
// random numbers of 256 bits that nobody can guess. Thread-safety: a value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

#include "access/rights.hpp"

namespace fnimage::server {

/// What a line of the file says.
struct TokenGrant {
  std::string pattern;
  Rights rights;
  std::optional<std::int64_t> expires{};  ///< seconds since 1970
};

struct MachineToken {
  std::string name;
  std::string hash;  ///< of the secret: SHA-256, lower-case hexadecimal
  std::vector<TokenGrant> grants;

  [[nodiscard]] bool is_valid(std::int64_t now) const;
  /// In any repository, whatever there are.
  [[nodiscard]] Rights rights_anywhere(std::int64_t now) const;
  [[nodiscard]] Rights rights_in(std::string_view repository, std::int64_t now) const;
};

class MachineTokens {
 public:
  /// Lines of one name and hash are one token. @param file its name for messages. Error:
  /// invalid_input, with the line.
  static Result<MachineTokens> parse(std::string_view text, const std::string& file);

  /// Null = no such token, or not any more.
  [[nodiscard]] const MachineToken* find(std::string_view name) const;
  [[nodiscard]] const MachineToken* find_secret(std::string_view secret) const;

 private:
  Result<void> add(std::string_view line);
  std::map<std::string, MachineToken, std::less<>> tokens_{};  // by name
  std::map<std::string, std::string, std::less<>> names_{};    // by hash
};

/// What the secrets begin with, so that programs that look for secrets in texts know them.
inline constexpr std::string_view secret_prefix = "fnimage_";

}  // namespace fnimage::server
