#include "access/machine_tokens.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/server/access.hpp>

#include "access/lines.hpp"
#include "access/secrets.hpp"

namespace fnimage::server {

namespace {

bool is_live(const TokenGrant& grant, std::int64_t now) {
  return !grant.expires || now < *grant.expires;
}

Result<TokenGrant> read_grant(const std::vector<std::string_view>& words) {
  constexpr std::size_t rights_at = 2;
  constexpr std::size_t pattern_at = 3;
  constexpr std::size_t expires_at = 4;
  TokenGrant grant;
  FNIMAGE_TRY(grant.rights, parse_rights(words[rights_at]));
  FNIMAGE_CHECK(check_pattern(words[pattern_at]));
  grant.pattern = std::string(words[pattern_at]);
  if (words.size() > expires_at) {
    FNIMAGE_TRY(grant.expires, parse_time(words[expires_at]));
  }
  return grant;
}

bool is_sha256(std::string_view text) {
  constexpr std::size_t digits = 64;
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace

bool MachineToken::is_valid(std::int64_t now) const {
  return std::ranges::any_of(grants, [&](const TokenGrant& grant) { return is_live(grant, now); });
}

Rights MachineToken::rights_anywhere(std::int64_t now) const {
  Rights rights;
  for (const TokenGrant& grant : grants) {
    rights |= is_live(grant, now) ? grant.rights : Rights{};
  }
  return rights;
}

Rights MachineToken::rights_in(std::string_view repository, std::int64_t now) const {
  Rights rights;
  for (const TokenGrant& grant : grants) {
    if (is_live(grant, now) && matches(grant.pattern, repository)) {
      rights |= grant.rights;
    }
  }
  return rights;
}

Result<MachineTokens> MachineTokens::parse(std::string_view text, const std::string& file) {
  MachineTokens tokens;
  for (const Line& line : lines_of(text)) {
    if (auto added = tokens.add(line.text); !added) {
      Error error = added.error();
      return fail(
          at_line(file, line.number,
                  Error(ErrorCode::invalid_input, error.message()).with_hint(error.hint())));
    }
  }
  return tokens;
}

Result<void> MachineTokens::add(std::string_view line) {
  constexpr std::size_t fewest = 4;
  constexpr std::size_t most = 5;
  const auto words = words_of(line);
  if (words.size() < fewest || words.size() > most || !is_sha256(words[1])) {
    return fail(ErrorCode::invalid_input,
                "a token's line has the words NAME SHA256 RIGHTS PATTERN [EXPIRES]",
                "fnimage serve token writes such lines");
  }
  const std::string name(words[0]);
  const std::string hash(words[1]);
  FNIMAGE_TRY(TokenGrant grant, read_grant(words));
  MachineToken& token = tokens_.try_emplace(name, MachineToken{name, hash, {}}).first->second;
  if (token.hash != hash || names_.try_emplace(hash, name).first->second != name) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("the name {} or its secret belongs to another token", printable(name, 80)),
        "give each secret a name of its own");
  }
  token.grants.push_back(std::move(grant));
  return {};
}

const MachineToken* MachineTokens::find(std::string_view name) const {
  const auto found = tokens_.find(name);
  return found == tokens_.end() ? nullptr : &found->second;
}

const MachineToken* MachineTokens::find_secret(std::string_view secret) const {
  if (!secret.starts_with(secret_prefix)) {
    return nullptr;
  }
  // How long the search takes says something of hashes that are here, and of them nobody gets to a
  // secret.
  const auto name = names_.find(sha256_hex(secret));
  return name == names_.end() ? nullptr : find(name->second);
}

}  // namespace fnimage::server
