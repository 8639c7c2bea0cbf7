// The tokens that the server gives to who has logged in: what they say, signed. Nothing is kept
// about them, and rights are looked up when they are used. Form, in base64url:
//   <JSON of the claims>.<HMAC-SHA256 of the former text>
// Thread-safety: const methods from several threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <fnimage/base/result.hpp>

#include "access/scopes.hpp"

namespace fnimage::server {

struct Claims {
  std::string subject;     ///< "user:ann"
  std::string credential;  ///< what the subject logged in with: TokenKey::mark() of it
  Scopes scopes{};
  std::int64_t expires = 0;  ///< seconds since 1970
};

class TokenKey {
 public:
  /// One that nobody else has, and that ends with this object.
  static TokenKey random();
  /// A file's content, at least 32 bytes; a missing file is made. Errors: invalid_input (too
  /// short), those of the file system.
  static Result<TokenKey> from_file(const std::filesystem::path& path);

  [[nodiscard]] std::string issue(const Claims& claims) const;
  /// Nullopt: not made with this key, or its time is over.
  [[nodiscard]] std::optional<Claims> read(std::string_view token, std::int64_t now) const;
  /// Tells an entry of a file from another, and nobody what it is.
  [[nodiscard]] std::string mark(std::string_view credential) const;

 private:
  explicit TokenKey(std::string key) : key_(std::move(key)) {}
  [[nodiscard]] std::string signature(std::string_view payload) const;
  std::string key_;
};

}  // namespace fnimage::server
