// See the header.
#include "debian/configure/account_scripts.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

namespace fnimage::source::debian {
namespace {

constexpr std::size_t max_account_name = 32;
constexpr std::string_view unknown_word = "?";   // what the script computes, see shell.hpp
constexpr std::uint32_t max_account_id = 65533;  // 65534 is nobody

/// What a name may be on Debian, with the dot and the capitals that --force-badname lets in. It
/// ends up in a line of /etc/passwd.
bool is_account_name(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= max_account_name && name.front() != '-' &&
         std::ranges::all_of(name, is_plain);
}

/// A field of /etc/passwd: no colon, no line end; and all of it known.
bool is_account_field(std::string_view text) {
  return text.size() <= 256 && std::ranges::none_of(text, [](char c) {
           return c == ':' || c == '?' || static_cast<unsigned char>(c) < ' ';
         });
}

std::optional<std::uint32_t> account_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool good = error == std::errc{} && end == text.data() + text.size() && id > 0;
  return good && id <= max_account_id ? std::optional(id) : std::nullopt;
}

/// Options that take a value -> what the value is.
using AccountOptions = std::map<std::string_view, std::string_view>;

/// Those that useradd(8) and usermod(8) have in common, and more.
AccountOptions user_options(AccountOptions more) {
  more.merge(AccountOptions{{"-u", "uid"},
                            {"--uid", "uid"},
                            {"-g", "group"},
                            {"--gid", "group"},
                            {"-d", "home"},
                            {"--home", "home"},
                            {"-s", "shell"},
                            {"--shell", "shell"},
                            {"-c", "comment"},
                            {"--comment", "comment"},
                            {"-G", "groups"},
                            {"--groups", "groups"}});
  return more;
}

/// The words of a command: options with their values, flags, and the rest.
class AccountCommand {
 public:
  AccountCommand(const std::vector<std::string>& words, AccountOptions takes)
      : takes_(std::move(takes)) {
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (!word.starts_with('-')) {
        if (!word.empty() && word != unknown_word) {
          names_.push_back(word);  // "$quiet" is an option as a rule, or nothing
        }
        continue;
      }
      const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
      const auto known = takes_.find(std::string_view(word).substr(0, equals));
      if (known == takes_.end()) {
        flags_.push_back(word);
      } else if (equals != std::string::npos) {
        values_.insert_or_assign(known->second, word.substr(equals + 1));
      } else if (i + 1 < words.size()) {
        values_.insert_or_assign(known->second, words[++i]);
      }
    }
  }

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] bool has(std::string_view flag) const {
    return std::ranges::find(flags_, flag) != flags_.end();
  }
  /// Of a letter that may be one of several: "-rM".
  [[nodiscard]] bool has_letter(char letter) const {
    return std::ranges::any_of(flags_, [&](const std::string& flag) {
      return !flag.starts_with("--") && flag.find(letter) != std::string::npos;
    });
  }
  [[nodiscard]] std::optional<std::string> value(std::string_view option) const {
    const auto found = values_.find(option);
    return found != values_.end() && is_account_field(found->second) ? std::optional(found->second)
                                                                     : std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint32_t> id(std::string_view option) const {
    const auto text = value(option);
    return text ? account_id(*text) : std::nullopt;
  }

 private:
  AccountOptions takes_;  ///< spelling -> what it is
  std::vector<std::string> names_;
  std::vector<std::string> flags_;
  std::map<std::string_view, std::string> values_;
};

void set_fields(const AccountCommand& command, UserRequest& user) {
  user.comment = command.value("comment").value_or(user.comment);
  user.shell = command.value("shell").value_or(user.shell);
  user.home = command.value("home").value_or(user.home);
}

// adduser has chfn(1) write the comment: name, room, and two telephone numbers, and what follows.
std::string comment_by_chfn(std::string_view comment) {
  constexpr std::ptrdiff_t fields = 4;
  std::string text(comment);
  const auto commas = std::ranges::count(text, ',');
  if (commas < fields - 1) {
    text.append(static_cast<std::size_t>(fields - 1 - commas), ',');
  }
  return text;
}

void add_members(const std::string& user, std::string_view groups, bool sure,
                 AccountRequests& requests) {
  for (const std::string_view group : split(groups, ',')) {
    if (is_account_name(group) && is_account_name(user)) {
      requests.members.push_back({user, std::string(group), sure});
    }
  }
}

void read_adduser(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(shell_command.words, {{"--uid", "uid"},
                                                     {"--gid", "gid"},
                                                     {"--ingroup", "group"},
                                                     {"--home", "home"},
                                                     {"--shell", "shell"},
                                                     {"--gecos", "comment"},
                                                     {"--comment", "comment"},
                                                     {"--firstuid", "-"},
                                                     {"--lastuid", "-"},
                                                     {"--conf", "-"}});
  const auto& names = command.names();
  if (names.size() == 2 && is_account_name(names[0]) && is_account_name(names[1])) {
    requests.members.push_back({names[0], names[1], shell_command.sure});
    return;
  }
  if (names.size() != 1 || !is_account_name(names[0])) {
    return;
  }
  // Without --group a system user has no group of its own.
  const bool group = command.has("--group") || !command.has("--system");
  if (command.has("--group") && !command.has("--system")) {
    requests.groups.push_back({names[0], command.id("gid")});  // "adduser --group" is addgroup
    return;
  }
  UserRequest user{.name = names[0], .uid = command.id("uid")};
  user.group = command.value("group").value_or(group ? names[0] : "");
  if (!command.has("--system")) {
    user.home = "/home/" + user.name;
    user.shell = "/bin/bash";
    user.ages = true;
    user.password = command.has("--disabled-password") ? "*" : "!";
  }
  set_fields(command, user);
  if (const auto comment = command.value("comment")) {
    user.comment = comment_by_chfn(*comment);
  }
  user.makes_home = user.home != "/nonexistent" && !command.has("--no-create-home");
  if (group && user.group == names[0]) {
    requests.groups.push_back({names[0], command.id("gid")});
  }
  requests.users.push_back(std::move(user));
}

void read_addgroup(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(shell_command.words,
                               {{"--gid", "gid"}, {"-g", "gid"}, {"--conf", "-"}});
  const auto& names = command.names();
  if (names.size() == 2 && is_account_name(names[0]) && is_account_name(names[1])) {
    requests.members.push_back({names[0], names[1], shell_command.sure});
  } else if (names.size() == 1 && is_account_name(names[0])) {
    requests.groups.push_back({names[0], command.id("gid")});
  }
}

void read_useradd(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(
      shell_command.words,
      user_options({{"--home-dir", "home"}, {"-K", "-"}, {"-b", "-"}, {"-k", "-"}}));
  if (command.names().size() != 1 || !is_account_name(command.names()[0])) {
    return;
  }
  UserRequest user{.name = command.names()[0], .uid = command.id("uid")};
  const bool own_group = !command.has_letter('N') && !command.has("--no-user-group");
  user.group = command.value("group").value_or(own_group ? user.name : "users");
  user.home = "/home/" + user.name;
  user.shell = "/bin/sh";
  user.ages = !command.has_letter('r') && !command.has("--system");
  set_fields(command, user);
  user.makes_home = command.has_letter('m') || command.has("--create-home");
  if (user.group == user.name) {
    requests.groups.push_back({user.name, std::nullopt});
  }
  add_members(user.name, command.value("groups").value_or(""), true, requests);
  requests.users.push_back(std::move(user));
}

// What an upgrade may have to change is not a new user's.
void read_usermod(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(
      shell_command.words,
      user_options({{"-aG", "groups"}, {"-l", "-"}, {"-p", "-"}, {"-e", "-"}}));
  if (command.names().size() != 1) {
    return;
  }
  const std::string& user = command.names()[0];
  add_members(user, command.value("groups").value_or(""), shell_command.sure, requests);
  if (shell_command.sure) {
    requests.changes.push_back({.user = user,
                                .group = command.value("group"),
                                .comment = command.value("comment"),
                                .home = command.value("home"),
                                .shell = command.value("shell")});
  }
}

// chfn -f NAME USER: asked whether there is no name yet, as a rule.
void read_chfn(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(shell_command.words,
                               {{"-f", "comment"}, {"--full-name", "comment"}});
  const auto comment = command.value("comment");
  if (comment && command.names().size() == 1) {
    requests.changes.push_back({.user = command.names()[0],
                                .comment = comment_by_chfn(*comment),
                                .fills_comment = !shell_command.sure});
  }
}

// gpasswd -a USER GROUP.
void read_gpasswd(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(shell_command.words, {{"-a", "user"}, {"--add", "user"}});
  const auto user = command.value("user");
  if (user && command.names().size() == 1) {
    add_members(*user, command.names()[0], shell_command.sure, requests);
  }
}

void read_systemd_sysusers(const ShellCommand& shell_command, AccountRequests& requests) {
  const AccountCommand command(shell_command.words, {});
  const auto& names = command.names();
  requests.sysusers.insert(requests.sysusers.end(), names.begin(), names.end());
}

/// Words of a line, quotes taken off.
std::vector<std::string> quoted_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  char quote = '\0';
  bool open = false;
  for (const char c : line) {
    if (quote != '\0' ? c == quote : c == '"' || c == '\'') {
      quote = quote != '\0' ? '\0' : c;
      open = true;
    } else if (quote == '\0' && (c == ' ' || c == '\t')) {
      if (open) {
        words.push_back(std::exchange(word, {}));
      }
      open = false;
    } else {
      word += c;
      open = true;
    }
  }
  if (open) {
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

void read_account_commands(std::span<const ShellCommand> commands, AccountRequests& requests) {
  for (const ShellCommand& command : commands) {
    const std::string& path = command.words.front();
    const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
    if (name == "adduser") {
      read_adduser(command, requests);
    } else if (name == "addgroup" || name == "groupadd") {
      read_addgroup(command, requests);
    } else if (name == "useradd") {
      read_useradd(command, requests);
    } else if (name == "usermod") {
      read_usermod(command, requests);
    } else if (name == "chfn") {
      read_chfn(command, requests);
    } else if (name == "gpasswd") {
      read_gpasswd(command, requests);
    } else if (name == "systemd-sysusers") {
      read_systemd_sysusers(command, requests);
    }
  }
}

void read_sysusers(std::string_view text, AccountRequests& requests) {
  const std::string locked = "!*";
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string> words = quoted_words(trim(line));
    if (words.size() < 2 || words[0].starts_with('#') || !is_account_name(words[1])) {
      continue;
    }
    const auto field = [&](std::size_t i) -> std::optional<std::string> {
      const bool given = i < words.size() && words[i] != "-" && is_account_field(words[i]);
      return given ? std::optional(words[i]) : std::nullopt;
    };
    // "4:65534", "-:group": the group of somebody else.
    const std::string_view number = words.size() > 2 ? std::string_view(words[2]) : "-";
    const std::size_t colon = number.find(':');
    const auto id = account_id(number.substr(0, colon));
    if (words[0].starts_with('g')) {
      requests.groups.push_back({words[1], id, locked});
    } else if (words[0].starts_with('u')) {
      std::string group(colon == std::string_view::npos ? words[1] : number.substr(colon + 1));
      if (colon == std::string_view::npos) {
        requests.groups.push_back({words[1], id, locked});
      }
      requests.users.push_back({.name = words[1],
                                .uid = id,
                                .group = std::move(group),
                                .comment = field(3).value_or(""),
                                .home = field(4).value_or("/"),
                                .shell = field(5).value_or("/usr/sbin/nologin"),
                                .password = locked});
    } else if (words[0].starts_with('m') && field(2) && is_account_name(*field(2))) {
      requests.members.push_back({words[1], *field(2)});
    }
  }
}

}  // namespace fnimage::source::debian
