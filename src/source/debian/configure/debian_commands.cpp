// Programs of Debian that maintainer scripts call to register or to make files, see
// script_state.hpp and their manual pages. Thread-safety: see script_state.hpp.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/capabilities.hpp"
#include "debian/configure/file_mode.hpp"
#include "debian/configure/mail_capabilities.hpp"
#include "debian/configure/md5.hpp"
#include "debian/configure/pam_profiles.hpp"
#include "debian/configure/script_state.hpp"
#include "debian/configure/stream_edits.hpp"
#include "debian/configure/temporary_files.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;

constexpr std::uint64_t max_registered = std::uint64_t{1} << 20;

// dpkg-statoverride --add USER GROUP MODE PATH, with --update: also now.
Result<Effect> run_statoverride(ScriptState& state, const ShellCommand& command,
                                ShellAnswer& answer) {
  const CommandWords words = parse_words(command);
  if (words.options.contains("--list")) {
    const bool listed = std::ranges::any_of(
        words.operands, [&](const std::string& path) { return state.overrides.contains(path); });
    answer = {.success = listed, .output = listed ? std::nullopt : std::optional<std::string>("")};
    return Effect::done;
  }
  answer.success = true;
  if (!words.options.contains("--add")) {
    return Effect::done;  // --remove: of what was there before
  }
  if (!command.exact || !command.sure || words.operands.size() != 4) {
    return Effect::uncovered;
  }
  const auto& [user, group, mode, path] =
      std::tie(words.operands[0], words.operands[1], words.operands[2], words.operands[3]);
  const auto uid = state.users.find(user);
  const auto gid = state.groups.find(group);
  const auto bits = changed_mode(mode, 0, false);
  const auto target = image_path(command, path);
  if (!uid || !gid || !bits || !target) {
    return Effect::uncovered;
  }
  state.overrides.insert_or_assign("/" + *target, fmt::format("{} {} {}", user, group, mode));
  if (words.options.contains("--update")) {
    state.image.change(*target, [&](Entry& entry) {
      entry.uid = *uid;
      entry.gid = *gid;
      entry.mode = *bits;
    });
  }
  return Effect::done;
}

// dpkg-divert --list, --listpackage and --truename.
bool ask_diversion(const ScriptState& state, const CommandWords& words, const std::string& path,
                   ShellAnswer& answer) {
  for (const std::string_view query : {"--list", "--listpackage", "--truename"}) {
    if (words.options.contains(query)) {
      const auto known = state.diversions.find(path);
      const bool diverted = known != state.diversions.end();
      const std::string record = diverted ? known->second : path + "\n";
      const auto parts = split(record, '\n');
      answer.output = std::string(query == "--listpackage" ? parts[1] : parts[0]) + "\n";
      if (query == "--list" && !diverted) {
        answer.output = "";
      }
      return true;
    }
  }
  return false;
}

// One that this image has; most are of what was there before.
Result<Effect> remove_diversion(ScriptState& state, const ShellCommand& command,
                                const std::string& path, const std::string& package, bool moves) {
  const auto known = state.diversions.find(path);
  if (known == state.diversions.end() || split(known->second, '\n')[1] != package) {
    return Effect::done;
  }
  const auto from = image_path(command, path);
  const auto to = image_path(command, split(known->second, '\n')[0]);
  if (!command.exact || !command.sure || !from || !to) {
    return Effect::uncovered;
  }
  if (moves) {
    FNIMAGE_TRY(const bool moved, state.image.divert(*to, *from, std::nullopt));
    if (!moved) {
      return Effect::uncovered;
    }
  }
  state.diversions.erase(known);
  return Effect::done;
}

// With --rename the files of other packages go to the other path, whenever they are unpacked, and
// the package's own file has the path.
Result<Effect> run_divert(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  const CommandWords words =
      parse_words(command, {"package", "divert", "admindir", "instdir", "root"});
  const std::string path = words.operands.empty() ? "" : words.operands.front();
  answer.success = true;
  if (ask_diversion(state, words, path, answer)) {
    return Effect::done;
  }
  const auto named = words.values.find("--package");
  std::string package = named != words.values.end() ? named->second : state.package;
  package = words.options.contains("--local") ? ":" : package;
  const bool moves = words.options.contains("--rename");
  if (words.options.contains("--remove")) {
    return remove_diversion(state, command, path, package, moves);
  }
  const auto given = words.values.find("--divert");
  const std::string to = given != words.values.end() ? given->second : path + ".distrib";
  const auto from = image_path(command, path);
  const auto other = image_path(command, to);
  if (!command.exact || !command.sure || !from || !other || !path.starts_with('/') ||
      !to.starts_with('/')) {
    return Effect::uncovered;
  }
  if (moves && !state.diversions.contains(path)) {
    FNIMAGE_TRY(const bool moved,
                state.image.divert(*from, *other, number_of_package(state, package)));
    if (!moved) {
      return Effect::uncovered;
    }
  }
  state.diversions.insert_or_assign(path, fmt::format("{}\n{}", to, package));
  return Effect::done;
}

// A configuration file that the package does not ship as one.
Result<Effect> run_ucf(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  const CommandWords words = parse_words(command, {"state-dir", "src-dir", "sum-file", "s", "D"});
  answer.success = true;
  if (words.options.contains("--purge") || words.options.contains("-p")) {
    return Effect::done;
  }
  if (!command.exact || !command.sure || words.operands.size() != 2) {
    return Effect::uncovered;
  }
  const auto from = image_path(command, words.operands[0]);
  const auto to = image_path(command, words.operands[1]);
  const Entry* source = from ? state.image.file(*from) : nullptr;
  if (source == nullptr || !to) {
    return Effect::uncovered;
  }
  FNIMAGE_TRY(const std::string text, state.image.read(*from, max_registered));
  if (state.image.find_real(*to) == nullptr) {
    FNIMAGE_CHECK(state.image.add_copy(*source, *to));
  }
  state.ucf_hashes.insert_or_assign("/" + *to, md5_of(text));
  return Effect::done;
}

Result<Effect> run_ucfr(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  const CommandWords words = parse_words(command, {"state-dir"});
  answer.success = true;
  if (command.exact && command.sure && words.operands.size() == 2 &&
      !words.options.contains("--purge") && !words.options.contains("-p")) {
    state.ucf_owners.insert_or_assign(words.operands[1], words.operands[0]);
  }
  return Effect::done;
}

// Lines of /etc/shells that are not there yet: a shell under its name, and under its real one.
Result<void> add_shells(ScriptState& state, const std::vector<std::string>& shells) {
  std::string text;
  const std::string place =
      state.image.file("etc/shells") != nullptr ? "etc/shells" : "usr/share/debianutils/shells";
  if (state.image.file(place) != nullptr) {
    FNIMAGE_TRY(text, state.image.read(place, max_registered));
  }
  const auto add = [&](const std::string& shell) {
    const auto lines = split(text, '\n');
    if (std::ranges::find(lines, shell) == lines.end()) {
      text += shell + "\n";
    }
  };
  for (const std::string& shell : shells) {
    add(shell);
    if (shell.starts_with("/bin/")) {
      add("/usr" + shell);
    }
  }
  return state.image.add_file("etc/shells", std::move(text));
}

std::vector<std::string> shell_lines(std::string_view text) {
  std::vector<std::string> shells;
  for (const std::string_view line : split(text, '\n')) {
    if (const auto shell = trim(line.substr(0, line.find('#'))); shell.starts_with('/')) {
      shells.emplace_back(shell);
    }
  }
  return shells;
}

Result<Effect> run_add_shell(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  answer.success = true;
  if (!command.exact || !command.sure) {
    return Effect::uncovered;
  }
  FNIMAGE_CHECK(add_shells(state, shell_lines(join(parse_words(command).operands, "\n"))));
  return Effect::done;
}

// update-shells(8): what is in /usr/share/debianutils/shells and shells.d.
Result<Effect> run_update_shells(ScriptState& state, const ShellCommand& command,
                                 ShellAnswer& answer) {
  constexpr std::string_view directory = "usr/share/debianutils/shells.d";
  answer.success = true;
  if (state.image.file("usr/share/debianutils/shells") == nullptr) {
    return command.sure ? Effect::done : Effect::uncovered;
  }
  std::vector<std::string> files{"usr/share/debianutils/shells"};
  for (const std::string& name : state.image.names_in(directory)) {
    files.push_back(fmt::format("{}/{}", directory, name));
  }
  std::string known;
  std::vector<std::string> shells;
  for (const std::string& file : files) {
    FNIMAGE_TRY(const std::string text, state.image.read(file, max_registered));
    for (std::string& shell : shell_lines(text)) {
      known += shell + "\n" + (shell.starts_with("/bin/") ? "/usr" + shell + "\n" : "");
      shells.push_back(std::move(shell));
    }
  }
  FNIMAGE_CHECK(add_shells(state, shells));
  FNIMAGE_CHECK(state.image.add_file("var/lib/shells.state", std::move(known)));
  return Effect::done;
}

Result<Effect> run_setcap(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  const CommandWords words = parse_words(command);
  answer.success = !program_path(state.image, "setcap").empty();
  if (answer.success == false) {
    return Effect::done;
  }
  if (words.options.contains("-r")) {
    return Effect::done;  // there is none to remove
  }
  const auto value =
      words.operands.size() == 2 ? capability_attribute(words.operands[0]) : std::nullopt;
  const auto path =
      words.operands.size() == 2 ? image_path(command, words.operands[1]) : std::nullopt;
  if (!command.exact || !command.sure || !value || !path) {
    return Effect::uncovered;
  }
  answer.success = state.image.file(*path) != nullptr;
  state.image.change(*path, [&](Entry& entry) { entry.xattrs["security.capability"] = *value; });
  return Effect::done;
}

Result<Effect> run_tmpfiles(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  answer.success = true;
  if (!command.exact || !command.sure) {
    return Effect::uncovered;
  }
  return make_temporary_files(state, parse_words(command).operands);
}

Result<Effect> run_trigger(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  answer.success = true;
  const CommandWords words = parse_words(command, {"by-package"});
  if (command.exact && !words.operands.empty()) {
    state.triggers.insert(words.operands.front());
  }
  return Effect::done;
}

Result<Effect> run_pam_update(ScriptState& state, const ShellCommand& command,
                              ShellAnswer& answer) {
  answer.success = !program_path(state.image, command.words.front()).empty();
  return answer.success == true ? request_pam_stacks(state, command) : Result<Effect>(Effect::done);
}

// Under dpkg it does nothing but with --triggered, or without any word.
Result<Effect> run_mime_update(ScriptState& state, const ShellCommand& command,
                               ShellAnswer& answer) {
  answer.success = !program_path(state.image, command.words.front()).empty();
  const bool acts = command.words.size() == 1 || command.words[1] == "--triggered";
  if (answer.success == false || !acts) {
    return Effect::done;
  }
  return command.exact && command.sure ? update_mail_capabilities(state)
                                       : Result<Effect>(Effect::uncovered);
}

// Accounts have a step of their own; here it is remembered that they are there now.
Result<Effect> run_account_command(ScriptState& state, const ShellCommand& command,
                                   ShellAnswer& answer) {
  answer.success = true;
  for (const std::string& word : parse_words(command).operands) {
    state.made_accounts.insert(word);
  }
  return Effect::done;
}

// Alternatives have a step of their own, which leaves out what is not known.
Result<Effect> run_alternatives(ScriptState& /*state*/, const ShellCommand& command,
                                ShellAnswer& answer) {
  answer.success = true;
  const bool installs = std::ranges::find(command.words, "--install") != command.words.end();
  return installs && !command.exact ? Effect::uncovered : Effect::done;
}

// The text of `sed -e PROGRAM`, or its first operand.
std::optional<std::string> sed_program(const CommandWords& words) {
  if (const auto given = words.values.find("-e"); given != words.values.end()) {
    return given->second;
  }
  return words.operands.size() > 1 ? std::optional(words.operands.front()) : std::nullopt;
}

// A file that is changed in place.
Result<Effect> run_sed(ScriptState& state, const ShellCommand& command, ShellAnswer& /*answer*/) {
  const bool in_place = std::ranges::any_of(command.words, [](const std::string& word) {
    return word.starts_with("-i") || word.starts_with("--in-place");
  });
  if (!in_place) {
    return Effect::done;
  }
  const auto path = image_path(command, command.words.back());
  const bool is_missing = command.exact && path && state.image.file(*path) == nullptr;
  const CommandWords options = parse_words(command, {"e"});
  const auto program = sed_program(options);
  const bool extended = options.options.contains("-E") || options.options.contains("-r");
  if (command.exact && command.sure && path && program && !is_missing) {
    FNIMAGE_TRY(const std::string text, state.image.read(*path, max_registered));
    if (auto changed = substitute_fixed(*program, extended, text)) {
      const Entry old = *state.image.file(*path);
      FNIMAGE_CHECK(state.image.add_file(*path, std::move(*changed), old.mode, old.gid));
      return Effect::done;
    }
  }
  return is_missing ? Effect::done : Effect::uncovered;
}

// find … -exec, and what it prints for xargs.
Result<Effect> run_find(ScriptState& state, const ShellCommand& command, ShellAnswer& /*answer*/) {
  const bool acts = std::ranges::any_of(command.words, [](const std::string& word) {
    return word == "-exec" || word == "-execdir" || word == "-delete" || word == "xargs" ||
           word == "/usr/bin/xargs";
  });
  const bool removes = std::ranges::any_of(command.words, [](const std::string& word) {
    return word == "rm" || word == "rmdir" || word == "-delete" || word == "grep";
  });
  const auto path = command.words.size() > 1 ? image_path(command, command.words[1]) : std::nullopt;
  const bool is_missing =
      path && command.words.front() == "find" && state.image.resolve(*path) == nullptr;
  return acts && !removes && !is_missing ? Effect::uncovered : Effect::done;
}

// Nothing without schemas.
Result<Effect> run_schemas(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  answer.success = true;
  const auto path = image_path(command, command.words.back());
  const auto directory = path ? state.image.directory(*path) : std::nullopt;
  const auto names = directory ? state.image.names_in(*directory) : std::vector<std::string>();
  const bool any = std::ranges::any_of(
      names, [](const std::string& name) { return name.ends_with(".gschema.xml"); });
  return any || !command.exact ? Effect::uncovered : Effect::done;
}

// The programs of a directory that has none are none.
Result<Effect> run_parts(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  answer.success = true;
  const auto path = image_path(command, command.words.back());
  const auto directory = path ? state.image.directory(*path) : std::nullopt;
  const bool is_empty = path && (!directory || state.image.names_in(*directory).empty());
  return is_empty ? Effect::done : Effect::uncovered;
}

Result<Effect> run_mktemp(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  constexpr std::size_t max_scratch_files = 1'000;
  const bool plain = std::ranges::none_of(command.words, [](const std::string& word) {
    return word.starts_with("-d") || word == "--directory" || word.find("/var") == 0;
  });
  if (!plain || state.scratch_files.size() > max_scratch_files) {
    return Effect::done;
  }
  const std::string path = fmt::format("{}{}", scratch_prefix, state.scratch_files.size());
  FNIMAGE_CHECK(state.image.add_file(path, {}, 0600));
  state.scratch_files.insert(path);
  answer = {.success = true, .output = "/" + path + "\n"};
  return Effect::done;
}

struct DebianCommand {
  std::string_view name;
  Result<Effect> (*run)(ScriptState&, const ShellCommand&, ShellAnswer&);
};

constexpr std::array<DebianCommand, 24> debian_commands{{
    {"add-shell", run_add_shell},
    {"addgroup", run_account_command},
    {"adduser", run_account_command},
    {"dpkg-divert", run_divert},
    {"dpkg-statoverride", run_statoverride},
    {"dpkg-trigger", run_trigger},
    {"find", run_find},
    {"glib-compile-schemas", run_schemas},
    {"groupadd", run_account_command},
    {"mktemp", run_mktemp},
    {"pam-auth-update", run_pam_update},
    {"run-parts", run_parts},
    {"sed", run_sed},
    {"setcap", run_setcap},
    {"systemd-sysusers", run_account_command},
    {"systemd-tmpfiles", run_tmpfiles},
    {"ucf", run_ucf},
    {"ucfr", run_ucfr},
    {"update-alternatives", run_alternatives},
    {"update-mime", run_mime_update},
    {"update-shells", run_update_shells},
    {"useradd", run_account_command},
    {"xargs", run_find},
    {"gpasswd", run_account_command},
}};

}  // namespace

std::optional<Result<Effect>> run_debian_command(ScriptState& state, const ShellCommand& command,
                                                 ShellAnswer& answer) {
  const std::string& word = command.words.front();
  const std::string_view name = std::string_view(word).substr(word.rfind('/') + 1);
  const auto* const found = std::ranges::find(debian_commands, name, &DebianCommand::name);
  if (found == debian_commands.end()) {
    return std::nullopt;
  }
  return found->run(state, command, answer);
}

}  // namespace fnimage::source::debian
