// /etc/passwd, /etc/group and their shadows: as base-passwd and shadowconfig leave them, with the
// users and groups that packages make. The files of what was there before the last change
// ("passwd-") are not made: what they say depends on the order of installation. Where a package
// leaves the number open, adduser takes the next free one, which depends on what was installed
// before; here it follows from the name, so that it is the same on every architecture and in every
// image as far as can be. Thread-safety: see configure.hpp.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/manifest/digest.hpp>

#include "debian/configure/account_scripts.hpp"
#include "debian/configure/configure.hpp"
#include "debian/configure/image_tests.hpp"
#include "debian/configure/script_state.hpp"

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
  std::string comment;
  std::string home;
  std::string shell;
  std::string password = "*";  ///< locked in one way or another
  bool ages = true;
};

struct GroupLine {
  std::string name;
  std::uint32_t gid = 0;
  std::string members;
  std::string password = "*";
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
        users_.push_back({std::string(fields[0]), uid, id_in(fields[3]), std::string(fields[4]),
                          std::string(fields[5]), std::string(fields[6])});
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
    for (const UserChange& change : requests.changes) {
      change_user(change);
    }
  }

  /// Of one image.
  struct Files {
    std::string passwd{};
    std::string shadow{};
    std::string group{};
    std::string gshadow{};
  };

  /// Moves the passwords (all locked) to the shadows: "root:x:0:…" and "root:*:<day>:0:99999:7:::".
  /// @param shadows_groups otherwise groups are as base-passwd leaves them
  [[nodiscard]] Files write(std::int64_t day, bool shadows_groups) const {
    Files files;
    for (const PasswdLine& user : users_) {
      files.passwd += fmt::format("{}:x:{}:{}:{}:{}:{}\n", user.name, user.uid, user.gid,
                                  user.comment, user.home, user.shell);
      files.shadow += fmt::format("{}:{}:{}:{}:::\n", user.name, user.password, day,
                                  user.ages ? "0:99999:7" : "::");
    }
    for (const GroupLine& one : groups_) {
      files.group +=
          fmt::format("{}:{}:{}:{}\n", one.name, shadows_groups ? "x" : "*", one.gid, one.members);
      files.gshadow += fmt::format("{}:{}::{}\n", one.name, one.password, one.members);
    }
    return files;
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
      groups_.push_back({group.name, choose(group.name, group.gid, gids_), {}, group.password});
    }
  }

  void add_user(const UserRequest& user) {
    if (std::ranges::find(users_, user.name, &PasswdLine::name) != users_.end()) {
      return;
    }
    const std::uint32_t gid = gid_of(user.group);
    const std::uint32_t uid = choose(user.name, user.uid, uids_);
    users_.push_back(
        {user.name, uid, gid, user.comment, user.home, user.shell, user.password, user.ages});
    if (user.makes_home && user.home.starts_with('/')) {
      homes_.push_back({user.home.substr(1), uid, gid});
    }
  }

  std::uint32_t gid_of(const std::string& name) {
    if (const GroupLine* group = find_group(name); group != nullptr) {
      return group->gid;
    }
    return id_in(name) > 0 ? id_in(name) : no_group;
  }

  void add_member(const MemberRequest& member) {
    GroupLine* group = find_group(member.group);
    const auto user = std::ranges::find(users_, member.user, &PasswdLine::name);
    if (group == nullptr || user == users_.end() || (!member.sure && user->gid == group->gid)) {
      return;
    }
    const auto members = split(group->members, ',');
    if (std::ranges::find(members, member.user) == members.end()) {
      group->members += (group->members.empty() ? "" : ",") + member.user;
    }
  }

  void change_user(const UserChange& change) {
    const auto user = std::ranges::find(users_, change.user, &PasswdLine::name);
    if (user == users_.end()) {
      return;
    }
    user->gid = change.group ? gid_of(*change.group) : user->gid;
    if (change.comment && (!change.fills_comment || user->comment.empty())) {
      user->comment = *change.comment;
    }
    user->home = change.home.value_or(user->home);
    user->shell = change.shell.value_or(user->shell);
  }

  std::vector<PasswdLine> users_;
  std::vector<GroupLine> groups_;
  std::set<std::uint32_t> uids_;
  std::set<std::uint32_t> gids_;
  std::vector<Home> homes_;
};

/// The commands of a script: questions about versions, programs and to debconf are answered.
class AccountHost final : public ShellHost {
 public:
  explicit AccountHost(ScriptState& state) : state_(state) {}

  ShellAnswer run(const ShellCommand& command) override {
    ShellAnswer answer;
    const std::string& name = command.words.front();
    constexpr std::array<std::string_view, 5> asked{"awk", "command", "dpkg", "type", "which"};
    if (name.starts_with("db_") || std::ranges::find(asked, name) != asked.end()) {
      run_query(state_, command, answer);
    } else {
      commands.push_back(command);
    }
    return answer;
  }

  std::vector<ShellCommand> commands{};

 private:
  ScriptState& state_;
};

/// A config script, which only asks, and answers debconf.
class AnsweringHost final : public ImageTests {
 public:
  explicit AnsweringHost(ScriptState& state) : ImageTests(state.image), state_(state) {}

  ShellAnswer run(const ShellCommand& command) override {
    ShellAnswer answer;
    run_query(state_, command, answer);
    return answer;
  }

 private:
  ScriptState& state_;
};

class RequestReader {
 public:
  RequestReader(ImageView& image, const ConfigureContext& context)
      : context_(context),
        known_(shell_values(context.architecture, context.triplet)),
        state_{.image = image,
               .users = AccountNumbers(""),
               .groups = AccountNumbers(""),
               .first_users = AccountNumbers(""),
               .first_groups = AccountNumbers(""),
               .packages = context.packages,
               .unpacked = context.unpacked} {}

  /// What the scripts make, and then what no script has asked for but a first start of systemd
  /// makes.
  Result<AccountRequests> read() {
    for (std::size_t number = 0; number < context_.unpacked.size(); ++number) {
      const UnpackedPackage& package = context_.unpacked[number];
      state_.number = number;
      state_.answers.clear();
      FNIMAGE_CHECK(read_script(package.control_file("preinst"), "install"));
      AnsweringHost answers(state_);
      run_script(package.control_file("config"), known_, {"configure", ""}, answers);
      FNIMAGE_CHECK(read_script(package.control_file("postinst"), "configure"));
    }
    for (const std::string& name : state_.image.names_in(directory)) {
      FNIMAGE_CHECK(read_file(name));
    }
    return std::move(requests_);
  }

 private:
  static constexpr std::string_view directory = "usr/lib/sysusers.d";

  Result<void> read_script(std::string_view script, std::string action) {
    if (script.empty()) {
      return {};
    }
    AccountHost host(state_);
    run_script(script, known_, {std::move(action), ""}, host);
    read_account_commands(host.commands, requests_);
    for (const std::string& name : std::exchange(requests_.sysusers, {})) {
      FNIMAGE_CHECK(read_file(name));
    }
    return {};
  }

  Result<void> read_file(const std::string& name) {
    constexpr std::uint64_t max_sysusers = std::uint64_t{1} << 16;
    const std::string path = fmt::format("{}/{}", directory, name);
    const bool is_file = name.ends_with(".conf") && name.find('/') == std::string::npos &&
                         state_.image.file(path) != nullptr;
    if (!is_file || !read_.insert(name).second) {
      return {};
    }
    FNIMAGE_TRY(const std::string text, state_.image.read(path, max_sysusers));
    read_sysusers(text, requests_);
    return {};
  }

  const ConfigureContext& context_;
  const ShellValues known_;
  ScriptState state_;
  AccountRequests requests_{};
  std::set<std::string> read_{};  ///< files
};

}  // namespace

Result<void> configure_accounts(ImageView& image, const ConfigureContext& context) {
  FNIMAGE_TRY(const std::string passwd_master,
              master(image, "usr/share/base-passwd/passwd.master", minimal_passwd));
  FNIMAGE_TRY(const std::string group_master,
              master(image, "usr/share/base-passwd/group.master", minimal_group));
  Accounts accounts(passwd_master, group_master);
  FNIMAGE_TRY(AccountRequests requests, RequestReader(image, context).read());
  accounts.add(std::move(requests));
  for (const Accounts::Home& home : accounts.homes()) {
    if (image.resolve(home.path) == nullptr) {
      FNIMAGE_CHECK(image.add_directory(home.path, 0755, home.gid, home.uid));
    }
  }
  constexpr std::int64_t day = 86400;
  const bool shadows_groups = image.file("usr/sbin/grpconv") != nullptr;
  Accounts::Files files = accounts.write(context.mtime / day, shadows_groups);
  FNIMAGE_CHECK(image.add_file("etc/passwd", std::move(files.passwd)));
  FNIMAGE_CHECK(image.add_file("etc/group", std::move(files.group)));
  if (shadows_groups) {
    FNIMAGE_CHECK(image.add_file("etc/gshadow", std::move(files.gshadow), 0640, group_shadow));
  }
  return image.add_file("etc/shadow", std::move(files.shadow), 0640, group_shadow);
}

}  // namespace fnimage::source::debian
