// Who may do what with an embedded registry: users of an htpasswd file, what each may do, and fixed
// tokens for machines. All files have a line for each entry; blank lines and lines that begin with
// '#' say nothing. They are read again when they change; one that is broken then is reported, and
// what was read before stays in force.
//
//   htpasswd   USER:BCRYPT                                      as `htpasswd -B` writes it
//   rules      USER PATTERN RIGHTS                              "ann team/* pull,push"
//   tokens     NAME SHA256 RIGHTS PATTERN [EXPIRES]             as add_token() writes it
//
// RIGHTS are some of pull, push, delete, with commas. In a PATTERN '*' stands for any characters,
// '/' too. USER "*" is whoever has logged in, "anonymous" whoever has not; what is said of several
// lines adds up, and what anonymous may, all may. Thread-safety: pure functions but for
// add_token(), which may be called by several processes at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fnimage/base/result.hpp>

namespace fnimage::server {

struct AccessOptions {
  std::optional<std::filesystem::path> htpasswd{};
  /// Without: users may do everything, anonymous nothing.
  std::optional<std::filesystem::path> rules{};
  std::optional<std::filesystem::path> tokens{};
  bool anonymous_pull = false;  ///< as a line "anonymous * pull"
  /// What the tokens that users are given are signed with, at least 32 bytes; made if missing.
  /// Without: a key of this process, so that they end with it.
  std::optional<std::filesystem::path> token_key{};
  /// "https://registry.example", how clients reach the server when that is another's doing (a proxy
  /// that ends TLS). Empty: as each request says.
  std::string external_url{};
  /// Told of files that cannot be used. Called from several threads at once.
  std::function<void(const std::string& message)> warn{};
};

/// A token for a machine: what it may do with which repositories.
struct NewToken {
  std::string name;                       ///< letters, digits, and "._-"
  std::string rights = "pull";            ///< "pull,push"
  std::vector<std::string> patterns;      ///< "team/*"; at least one
  std::optional<std::int64_t> expires{};  ///< seconds since 1970
};

/// Makes a token and adds it to the file, which is made if missing. Returns the secret, which is
/// kept nowhere. Errors: invalid_argument (name, rights, patterns), already_exists (name),
/// invalid_input (the file), those of the file system.
Result<std::string> add_token(const std::filesystem::path& file, const NewToken& token);

/// "2030-01-31" (its beginning, UTC) or "2030-01-31T12:00:00Z" as seconds since 1970. Error:
/// invalid_argument.
Result<std::int64_t> parse_time(std::string_view text);

}  // namespace fnimage::server
