// Which users and groups a maintainer script makes: adduser(8), addgroup(8), useradd(8),
// groupadd(8), usermod(8), gpasswd(1), and sysusers.d(5). Conditions about accounts are not
// decided: scripts ask whether the account is there, and in a new image none is. Thread-safety:
// pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "debian/configure/shell.hpp"

namespace fnimage::source::debian {

struct GroupRequest {
  std::string name;
  std::optional<std::uint32_t> gid{};
  std::string password = "!";  ///< as its tool locks it
};

struct UserRequest {
  std::string name;
  std::optional<std::uint32_t> uid{};
  std::string group{};  ///< primary, or its number; empty = nogroup
  std::string comment{};
  std::string home = "/nonexistent";
  std::string shell = "/usr/sbin/nologin";
  bool makes_home = false;
  std::string password = "!";  ///< as its tool locks it
  bool ages = false;           ///< the password, as a person's does
};

struct MemberRequest {
  std::string user;
  std::string group;
  bool sure = true;  ///< false: perhaps only where the user is no member
};

/// What usermod(8) and chfn(1) change of a user that is there.
struct UserChange {
  std::string user;
  std::optional<std::string> group{};
  std::optional<std::string> comment{};
  std::optional<std::string> home{};
  std::optional<std::string> shell{};
  bool fills_comment = false;  ///< the comment is for a user without one
};

struct AccountRequests {
  std::vector<GroupRequest> groups{};
  std::vector<UserRequest> users{};
  std::vector<MemberRequest> members{};
  std::vector<UserChange> changes{};
  std::vector<std::string> sysusers{};  ///< names of files that systemd-sysusers is called for
};

/// Adds what commands ask for. Those whose words are not all known are left out.
void read_account_commands(std::span<const ShellCommand> commands, AccountRequests& requests);

/// Adds what a file of /usr/lib/sysusers.d says; lines that are not understood are left out.
void read_sysusers(std::string_view text, AccountRequests& requests);

}  // namespace fnimage::source::debian
