// See the header.
#include "debian/configure/account_scripts.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

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

/// The words of a command: options with their values, flags, and the rest.
class AccountCommand {
 public:
  AccountCommand(const std::vector<std::string>& words,
                 std::initializer_list<std::pair<const std::string_view, std::string_view>> takes)
      : takes_(takes) {
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
  std::map<std::string_view, std::string_view> takes_;  ///< spelling -> what it is
  std::vector<std::string> names_;
  std::vector<std::string> flags_;
  std::map<std::string_view, std::string> values_;
};

void set_fields(const AccountCommand& command, UserRequest& user) {
  user.comment = command.value("comment").value_or(user.comment);
  user.shell = command.value("shell").value_or(user.shell);
  user.home = command.value("home").value_or(user.home);
}

void read_adduser(const std::vector<std::string>& words, AccountRequests& requests) {
  const AccountCommand command(words, {{"--uid", "uid"},
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
    requests.members.push_back({names[0], names[1]});
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
  set_fields(command, user);
  user.makes_home = user.home != "/nonexistent" && !command.has("--no-create-home");
  if (group && user.group == names[0]) {
    requests.groups.push_back({names[0], command.id("gid")});
  }
  requests.users.push_back(std::move(user));
}

void read_addgroup(const std::vector<std::string>& words, AccountRequests& requests) {
  const AccountCommand command(words, {{"--gid", "gid"}, {"-g", "gid"}, {"--conf", "-"}});
  const auto& names = command.names();
  if (names.size() == 2 && is_account_name(names[0]) && is_account_name(names[1])) {
    requests.members.push_back({names[0], names[1]});
  } else if (names.size() == 1 && is_account_name(names[0])) {
    requests.groups.push_back({names[0], command.id("gid")});
  }
}

void read_useradd(const std::vector<std::string>& words, AccountRequests& requests) {
  const AccountCommand command(words, {{"-u", "uid"},
                                       {"--uid", "uid"},
                                       {"-g", "group"},
                                       {"--gid", "group"},
                                       {"-d", "home"},
                                       {"--home", "home"},
                                       {"--home-dir", "home"},
                                       {"-s", "shell"},
                                       {"--shell", "shell"},
                                       {"-c", "comment"},
                                       {"--comment", "comment"},
                                       {"-G", "-"},
                                       {"--groups", "-"},
                                       {"-K", "-"},
                                       {"-b", "-"},
                                       {"-k", "-"}});
  if (command.names().size() != 1 || !is_account_name(command.names()[0])) {
    return;
  }
  UserRequest user{.name = command.names()[0], .uid = command.id("uid")};
  user.group = command.value("group").value_or(user.name);
  set_fields(command, user);
  user.makes_home = command.has("-m") || command.has("--create-home");
  if (user.group == user.name) {
    requests.groups.push_back({user.name, std::nullopt});
  }
  requests.users.push_back(std::move(user));
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

void read_account_script(std::string_view script, const ShellValues& known, std::string_view action,
                         AccountRequests& requests) {
  for (const ShellCommand& command : simple_commands(script, known, action)) {
    const std::string& path = command.words.front();
    const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
    if (name == "adduser") {
      read_adduser(command.words, requests);
    } else if (name == "addgroup" || name == "groupadd") {
      read_addgroup(command.words, requests);
    } else if (name == "useradd") {
      read_useradd(command.words, requests);
    }
  }
}

void read_sysusers(std::string_view text, AccountRequests& requests) {
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string> words = quoted_words(trim(line));
    if (words.size() < 2 || words[0].starts_with('#') || !is_account_name(words[1])) {
      continue;
    }
    const auto field = [&](std::size_t i) {
      const bool given = i < words.size() && words[i] != "-" && is_account_field(words[i]);
      return given ? std::optional(words[i]) : std::nullopt;
    };
    const auto id = field(2) ? account_id(*field(2)) : std::nullopt;
    if (words[0].starts_with('g')) {
      requests.groups.push_back({words[1], id});
    } else if (words[0].starts_with('u')) {
      requests.groups.push_back({words[1], id});
      requests.users.push_back({.name = words[1],
                                .uid = id,
                                .group = words[1],
                                .comment = field(3).value_or(""),
                                .home = field(4).value_or("/"),
                                .shell = field(5).value_or("/usr/sbin/nologin")});
    } else if (words[0].starts_with('m') && field(2) && is_account_name(*field(2))) {
      requests.members.push_back({words[1], *field(2)});
    }
  }
}

}  // namespace fnimage::source::debian
