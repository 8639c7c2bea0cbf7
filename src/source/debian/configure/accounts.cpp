// /etc/passwd, /etc/group and /etc/shadow: as base-passwd and shadowconfig leave them, with the
// users and groups that packages make. Where a package leaves the number open, adduser takes the
// next free one, which depends on what was installed before; here it follows from the name, so that
// it is the same on every architecture and in every image as far as can be. Thread-safety: see
// configure.hpp.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>

#include "debian/configure/account_scripts.hpp"
#include "debian/configure/configure.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_master = std::uint64_t{1} << 20;
constexpr std::uint32_t group_shadow = 42;

constexpr std::string_view minimal_passwd =
    "root:*:0:0:root:/root:/bin/sh\n"
    "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
constexpr std::string_view minimal_group =
    "root:*:0:\n"
    "mail:*:8:\n"
    "shadow:*:42:\n"
    "utmp:*:43:\n"
    "nogroup:*:65534:\n";

Result<std::string> master(const ImageView& image, std::string_view path,
                           std::string_view otherwise) {
  return image.resolve(path) == nullptr ? Result<std::string>(std::string(otherwise))
                                        : image.read(path, max_master);
}

constexpr std::uint32_t first_system_id = 100;  // Debian Policy 9.2.2
constexpr std::uint32_t last_system_id = 999;
constexpr std::uint32_t no_group = 65534;

struct PasswdLine {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string rest;  ///< comment:home:shell
};

struct GroupLine {
  std::string name;
  std::uint32_t gid = 0;
  std::string members;
};

std::uint32_t id_in(std::string_view text) {
  std::uint32_t id = 0;
  std::from_chars(text.data(), text.data() + text.size(), id);
  return id;
}

/// The accounts of one image.
class Accounts {
 public:
  Accounts(std::string_view passwd_master, std::string_view group_master) {
    for (const std::string_view line : split(passwd_master, '\n')) {
      const auto fields = split(line, ':');
      if (fields.size() == 7) {
        const std::uint32_t uid = id_in(fields[2]);
        uids_.insert(uid);
        users_.push_back({std::string(fields[0]), uid, id_in(fields[3]),
                          fmt::format("{}:{}:{}", fields[4], fields[5], fields[6])});
      }
    }
    for (const std::string_view line : split(group_master, '\n')) {
      const auto fields = split(line, ':');
      if (fields.size() == 4) {
        const std::uint32_t gid = id_in(fields[2]);
        gids_.insert(gid);
        groups_.push_back({std::string(fields[0]), gid, std::string(fields[3])});
      }
    }
  }

  /// Those with a number first, then by name, so that the order of packages does not matter.
  void add(AccountRequests requests) {
    std::ranges::stable_sort(requests.groups, {}, [](const GroupRequest& group) {
      return std::pair(!group.gid.has_value(), group.name);
    });
    std::ranges::stable_sort(requests.users, {}, [](const UserRequest& user) {
      return std::pair(!user.uid.has_value(), user.name);
    });
    for (const GroupRequest& group : requests.groups) {
      add_group(group);
    }
    for (const UserRequest& user : requests.users) {
      add_user(user);
    }
    for (const MemberRequest& member : requests.members) {
      add_member(member);
    }
  }

  /// Moves the passwords (all locked) to shadow: "root:x:0:…" and "root:*:<day>:0:99999:7:::".
  void write(std::int64_t day, std::string& passwd, std::string& shadow, std::string& group) const {
    for (const PasswdLine& user : users_) {
      passwd += fmt::format("{}:x:{}:{}:{}\n", user.name, user.uid, user.gid, user.rest);
      shadow += fmt::format("{}:*:{}:0:99999:7:::\n", user.name, day);
    }
    for (const GroupLine& one : groups_) {
      group += fmt::format("{}:*:{}:{}\n", one.name, one.gid, one.members);
    }
  }

  /// Directories of users that were made with one: path, uid, gid.
  struct Home {
    std::string path;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
  };
  [[nodiscard]] const std::vector<Home>& homes() const noexcept { return homes_; }

 private:
  /// The wanted number, or one that follows from the name.
  static std::uint32_t choose(const std::string& name, std::optional<std::uint32_t> wanted,
                              std::set<std::uint32_t>& taken) {
    constexpr std::uint32_t count = last_system_id - first_system_id + 1;
    std::uint32_t start = 0;
    const std::string hash(manifest::Digest::of(name).hex().substr(0, 8));
    std::from_chars(hash.data(), hash.data() + hash.size(), start, 16);
    std::uint32_t id = wanted.value_or(first_system_id + start % count);
    for (std::uint32_t tried = 0; taken.contains(id) && tried < count; ++tried) {
      id = first_system_id + (start + tried + 1) % count;
    }
    taken.insert(id);
    return id;
  }

  GroupLine* find_group(const std::string& name) {
    const auto found = std::ranges::find(groups_, name, &GroupLine::name);
    return found == groups_.end() ? nullptr : &*found;
  }

  void add_group(const GroupRequest& group) {
    if (find_group(group.name) == nullptr) {
      groups_.push_back({group.name, choose(group.name, group.gid, gids_), {}});
    }
  }

  void add_user(const UserRequest& user) {
    if (std::ranges::find(users_, user.name, &PasswdLine::name) != users_.end()) {
      return;
    }
    std::uint32_t gid = no_group;
    if (const GroupLine* group = find_group(user.group); group != nullptr) {
      gid = group->gid;
    } else if (!user.group.empty()) {
      gid = id_in(user.group) > 0 ? id_in(user.group) : no_group;
    }
    const std::uint32_t uid = choose(user.name, user.uid, uids_);
    users_.push_back(
        {user.name, uid, gid, fmt::format("{}:{}:{}", user.comment, user.home, user.shell)});
    if (user.makes_home && user.home.starts_with('/')) {
      homes_.push_back({user.home.substr(1), uid, gid});
    }
  }

  void add_member(const MemberRequest& member) {
    GroupLine* group = find_group(member.group);
    const bool known = std::ranges::find(users_, member.user, &PasswdLine::name) != users_.end();
    if (group == nullptr || !known) {
      return;
    }
    const auto members = split(group->members, ',');
    if (std::ranges::find(members, member.user) == members.end()) {
      group->members += (group->members.empty() ? "" : ",") + member.user;
    }
  }

  std::vector<PasswdLine> users_;
  std::vector<GroupLine> groups_;
  std::set<std::uint32_t> uids_;
  std::set<std::uint32_t> gids_;
  std::vector<Home> homes_;
};

Result<AccountRequests> requests_of(const ImageView& image, const ConfigureContext& context) {
  constexpr std::uint64_t max_sysusers = std::uint64_t{1} << 16;
  constexpr std::string_view directory = "usr/lib/sysusers.d";
  const ShellValues known = shell_values(context.architecture, context.triplet);
  AccountRequests requests;
  for (const std::string& name : image.names_in(directory)) {
    if (name.ends_with(".conf")) {
      FNIMAGE_TRY(const std::string text,
                  image.read(fmt::format("{}/{}", directory, name), max_sysusers));
      read_sysusers(text, requests);
    }
  }
  for (const UnpackedPackage& package : context.unpacked) {
    read_account_script(package.control_file("preinst"), known, "install", requests);
    read_account_script(package.control_file("postinst"), known, "configure", requests);
  }
  return requests;
}

}  // namespace

Result<void> configure_accounts(ImageView& image, const ConfigureContext& context) {
  FNIMAGE_TRY(const std::string passwd_master,
              master(image, "usr/share/base-passwd/passwd.master", minimal_passwd));
  FNIMAGE_TRY(const std::string group_master,
              master(image, "usr/share/base-passwd/group.master", minimal_group));
  Accounts accounts(passwd_master, group_master);
  FNIMAGE_TRY(AccountRequests requests, requests_of(image, context));
  accounts.add(std::move(requests));
  for (const Accounts::Home& home : accounts.homes()) {
    if (image.resolve(home.path) == nullptr) {
      FNIMAGE_CHECK(image.add_directory(home.path, 0755, home.gid, home.uid));
    }
  }
  std::string passwd;
  std::string shadow;
  std::string group;
  accounts.write(context.mtime / 86400, passwd, shadow, group);
  FNIMAGE_CHECK(image.add_file("etc/passwd", std::move(passwd)));
  FNIMAGE_CHECK(image.add_file("etc/group", std::move(group)));
  return image.add_file("etc/shadow", std::move(shadow), 0640, group_shadow);
}

}  // namespace fnimage::source::debian
