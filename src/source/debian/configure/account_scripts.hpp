// Which users and groups a maintainer script makes: adduser(8), addgroup(8), useradd(8),
// groupadd(8), and sysusers.d(5). Conditions are not decided: scripts ask whether the account is
// there, and in a new image none is. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "debian/configure/shell.hpp"

namespace fnimage::source::debian {

struct GroupRequest {
  std::string name;
  std::optional<std::uint32_t> gid{};
};

struct UserRequest {
  std::string name;
  std::optional<std::uint32_t> uid{};
  std::string group{};  ///< primary; empty = nogroup
  std::string comment{};
  std::string home = "/nonexistent";
  std::string shell = "/usr/sbin/nologin";
  bool makes_home = false;
};

struct MemberRequest {
  std::string user;
  std::string group;
};

struct AccountRequests {
  std::vector<GroupRequest> groups{};
  std::vector<UserRequest> users{};
  std::vector<MemberRequest> members{};
};

/// Adds what a script asks for. Commands whose words are not all known are left out.
/// @param action what the script is called with ("configure").
void read_account_script(std::string_view script, const ShellValues& known, std::string_view action,
                         AccountRequests& requests);

/// Adds what a file of /usr/lib/sysusers.d says; lines that are not understood are left out.
void read_sysusers(std::string_view text, AccountRequests& requests);

}  // namespace fnimage::source::debian
