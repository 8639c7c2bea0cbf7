// Commands of maintainer scripts that only ask, answered as on a first installation, see
// script_state.hpp. What is not answered stays unknown. Thread-safety: see script_state.hpp.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <span>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/md5.hpp"
#include "debian/configure/script_state.hpp"
#include "debian/configure/stream_edits.hpp"
#include "debian/deb822.hpp"
#include "debian/version.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_queried = std::uint64_t{256} << 10;

ShellAnswer found_or_not(bool found) {
  return {.success = found, .output = found ? std::nullopt : std::optional<std::string>("")};
}

// dpkg --compare-versions A OP B: an empty version is older than any, but for "lt-nl" and the like.
std::optional<bool> compare(std::string_view a, std::string_view operation, std::string_view b) {
  const bool empty_is_newer = operation.ends_with("-nl");
  operation = operation.substr(0, 2);
  int order = 0;
  if (a.empty() || b.empty()) {
    order = static_cast<int>(b.empty()) - static_cast<int>(a.empty());
    order = a.empty() == b.empty() ? 0 : (empty_is_newer ? -order : order);
  } else {
    order = compare_versions(a, b);
  }
  const std::array<std::pair<std::string_view, bool>, 10> results{{{"lt", order < 0},
                                                                   {"le", order <= 0},
                                                                   {"eq", order == 0},
                                                                   {"ne", order != 0},
                                                                   {"ge", order >= 0},
                                                                   {"gt", order > 0},
                                                                   {"<<", order < 0},
                                                                   {"<=", order <= 0},
                                                                   {">=", order >= 0},
                                                                   {">>", order > 0}}};
  if (operation == "=") {
    return order == 0;
  }
  const auto* const known =
      std::ranges::find(results, operation, &std::pair<std::string_view, bool>::first);
  return known != results.end() ? std::optional(known->second) : std::nullopt;
}

// What dpkg-query prints of a package; nullopt for fields that are not known here.
std::optional<std::string> in_format(const DebianPackage& package, std::string_view format) {
  constexpr std::size_t max_text = 1024;
  const std::array<std::pair<std::string_view, std::string_view>, 6> fields{
      {{"${Package}", package.name},
       {"${binary:Package}", package.name},
       {"${Version}", package.version},
       {"${Status}", "install ok installed"},
       {"${db:Status-Status}", "installed"},
       {"\\n", "\n"}}};
  std::string text;
  while (!format.empty()) {
    const auto* const field = std::ranges::find_if(
        fields, [&](const auto& known) { return format.starts_with(known.first); });
    const bool is_unknown =
        field == fields.end() && (format.starts_with("${") || format.starts_with('\\'));
    if (is_unknown || text.size() > max_text) {
      return std::nullopt;
    }
    text += field == fields.end() ? format.substr(0, 1) : field->second;
    format.remove_prefix(field == fields.end() ? 1 : field->first.size());
  }
  return text;
}

// -W, -L and -s of a package: what is in the image counts as installed. Nothing about the own one,
// which is about to be.
ShellAnswer ask_package(const ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"f", "showformat"});
  const auto asks = [&](std::string_view letter, std::string_view name) {
    return words.options.contains(letter) || words.options.contains(name);
  };
  const std::string operand = words.operands.size() == 1 ? words.operands.front() : "*";
  const std::string_view name = std::string_view(operand).substr(0, operand.find(':'));
  const bool lists = asks("-L", "--listfiles");
  const bool shows = asks("-W", "--show");
  const auto number = number_of_package(state, name);
  if (!command.exact || number == state.number || name.find('*') != std::string_view::npos ||
      (!lists && !shows && !asks("-s", "--status"))) {
    return {};
  }
  if (!number) {
    return {.success = false, .output = ""};
  }
  ShellAnswer answer{.success = true};
  if (const auto& files = state.unpacked[*number].file_list; lists && files.size() <= max_queried) {
    answer.output = files;
  } else if (shows) {
    const std::string given =
        words.value("-f", "--showformat").value_or("${Package}\t${Version}\\n");
    std::string_view format = given;
    format.remove_prefix(format.starts_with('=') ? 1 : 0);  // -f=FORMAT
    answer.output = in_format(state.packages[*number], format);
  }
  return answer;
}

ShellAnswer ask_dpkg(const ScriptState& state, const ShellCommand& command) {
  std::vector<std::string> words = command.words;
  std::erase(words, "--");
  if (command.exact && words.size() == 5 && words[1] == "--compare-versions") {
    return {.success = compare(words[2], words[3], words[4])};
  }
  return ask_package(state, command);
}

ShellAnswer ask_accounts(const ScriptState& state, const ShellCommand& command) {
  const bool is_id = command.words.front() == "id";
  const std::string& name = command.words.back();
  if (!command.exact || command.words.size() < 2 || name.starts_with('-')) {
    return {};
  }
  const bool is_group = !is_id && command.words[1] == "group";
  const AccountNumbers& first = is_group ? state.first_groups : state.first_users;
  const bool found = first.has(name) || state.made_accounts.contains(name);
  const auto number = (is_group ? state.groups : state.users).find(name);
  if (found && is_id && command.words[1] == "-u" && number) {
    return {.success = true, .output = fmt::format("{}\n", *number)};
  }
  return found_or_not(found);
}

// command -v, which, type.
ShellAnswer ask_program(const ScriptState& state, const ShellCommand& command) {
  const std::string& name = command.words.back();
  if (!command.exact || command.words.size() < 2 || name.starts_with('-')) {
    return {};
  }
  std::string path = program_path(state.image, name);
  const bool found = !path.empty();
  return {.success = found, .output = found ? path + "\n" : std::string()};
}

// The last part of a path, or all before it.
ShellAnswer ask_path(const ShellCommand& command) {
  if (!command.exact || command.words.size() < 2) {
    return {.success = true};
  }
  std::string path = command.words[1];
  while (path.size() > 1 && path.ends_with('/')) {
    path.pop_back();
  }
  const std::size_t slash = path.rfind('/');
  if (command.words.front() == "dirname") {
    path = slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  } else {
    path = slash == std::string::npos || path == "/" ? path : path.substr(slash + 1);
    const std::string suffix = command.words.size() > 2 ? command.words[2] : "";
    if (!suffix.empty() && path.ends_with(suffix) && path != suffix) {
      path.resize(path.size() - suffix.size());
    }
  }
  return {.success = true, .output = path + "\n"};
}

ShellAnswer ask_link(const ScriptState& state, const ShellCommand& command) {
  const auto path =
      command.words.size() == 2 ? image_path(command, command.words[1]) : std::nullopt;
  if (!command.exact || !path) {
    return {};
  }
  const layer::Entry* entry = state.image.find_real(*path);
  const bool is_link = entry != nullptr && entry->type == layer::EntryType::symlink;
  return {.success = is_link, .output = is_link ? entry->link + "\n" : std::string()};
}

// cat FILE, and what it reads otherwise.
ShellAnswer ask_content(const ScriptState& state, const ShellCommand& command) {
  if (!command.exact || command.words.size() > 2) {
    return {.success = true};
  }
  if (command.words.size() == 1) {
    return {.success = true, .output = command.input};
  }
  const auto path = image_path(command, command.words[1]);
  if (!path || state.image.file(*path) == nullptr) {
    return found_or_not(false);
  }
  auto text = state.image.read(*path, max_queried);
  return {.success = true, .output = text ? std::optional(std::move(*text)) : std::nullopt};
}

// grep -q of plain text, with "^" and "$" at its ends unless it is fixed, in one file.
std::optional<bool> has_line(const std::string& text, std::string_view pattern, bool whole,
                             bool fixed) {
  const bool begins = !fixed && pattern.starts_with('^');
  pattern.remove_prefix(begins ? 1 : 0);
  const bool ends = !fixed && pattern.ends_with('$');
  pattern.remove_suffix(ends ? 1 : 0);
  if (!fixed && pattern.find_first_of(".*[]\\^$+?(){}|") != std::string_view::npos) {
    return std::nullopt;
  }
  for (const std::string_view line : split(text, '\n')) {
    const bool starts_well = !(begins || whole) || line.starts_with(pattern);
    const bool ends_well = !(ends || whole) || line.ends_with(pattern);
    const bool is_whole = !(whole || (begins && ends)) || line.size() == pattern.size();
    if (starts_well && ends_well && is_whole && line.find(pattern) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

ShellAnswer ask_grep(const ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command);
  std::size_t plain_options = 0;
  for (const char* option : {"-q", "-s", "-F", "-x", "-E"}) {
    plain_options += words.options.contains(option) ? 1U : 0U;
  }
  if (!command.exact || !words.options.contains("-q") || words.operands.empty() ||
      words.operands.size() > 2 || plain_options != words.options.size()) {
    return {};
  }
  std::optional<std::string> text = command.input;
  if (words.operands.size() == 2) {
    const auto path = image_path(command, words.operands[1]);
    if (!path || state.image.file(*path) == nullptr) {
      return {.success = false, .output = ""};
    }
    auto content = state.image.read(*path, max_queried);
    text = content ? std::optional(std::move(*content)) : std::nullopt;
  }
  const bool fixed = words.options.contains("-F") || command.words.front() == "fgrep";
  return {.success = text ? has_line(*text, words.operands[0], words.options.contains("-x"), fixed)
                          : std::nullopt,
          .output = ""};
}

std::map<std::string, std::string> values_of_templates(std::string_view templates) {
  std::map<std::string, std::string> template_values;
  std::string name;
  for (const std::string_view line : split(templates, '\n')) {
    if (line.starts_with("Template:")) {
      name = trim(line.substr(line.find(':') + 1));
      template_values.emplace(name, "");
    } else if (line.starts_with("Default:")) {
      template_values.insert_or_assign(name, std::string(trim(line.substr(line.find(':') + 1))));
    }
  }
  return template_values;
}

// debconf answers what `config` has set, else what the templates say: nobody is asked.
ShellAnswer ask_debconf(ScriptState& state, const ShellCommand& command) {
  const std::string& name = command.words.front();
  const std::string question = command.words.size() > 1 ? command.words[1] : "";
  if (name == "db_set" && command.words.size() > 2) {
    const bool known = command.exact && command.sure;
    state.answers.insert_or_assign(question,
                                   known ? std::optional(command.words[2]) : std::nullopt);
    return {.success = true};
  }
  if (name == "db_set" || name == "db_reset" || name == "db_fget" || name == "db_metaget") {
    return {.success = true, .output = std::nullopt, .reply = std::nullopt, .sets_reply = true};
  }
  if (name != "db_get") {
    return {.success = true};
  }
  ShellAnswer answer{.success = std::nullopt, .sets_reply = true};
  if (const auto known = state.answers.find(question);
      command.exact && known != state.answers.end()) {
    answer.success = true;
    answer.reply = known->second;
  } else if (command.exact && state.number < state.unpacked.size()) {
    const auto template_values =
        values_of_templates(state.unpacked[state.number].control_file("templates"));
    if (const auto found = template_values.find(question); found != template_values.end()) {
      answer.success = true;
      answer.reply = found->second;
    }
  }
  return answer;
}

// ". FILE": configuration is read; programs of packages (debconf's commands are known here) are
// not.
ShellAnswer ask_source(const ScriptState& state, const ShellCommand& command) {
  const auto path = image_path(command, command.words.back());
  if (!command.exact || !path || !path->starts_with("etc/") || state.image.file(*path) == nullptr) {
    return {};
  }
  auto text = state.image.read(*path, max_queried);
  return {.success = true, .output = text ? std::optional(std::move(*text)) : std::nullopt};
}

// md5sum FILE.
ShellAnswer ask_md5(const ScriptState& state, const ShellCommand& command) {
  const auto path =
      command.words.size() == 2 ? image_path(command, command.words[1]) : std::nullopt;
  if (!command.exact || !path) {
    return {};
  }
  if (state.image.file(*path) == nullptr) {
    return found_or_not(false);
  }
  const auto text = state.image.read(*path, max_queried);
  return {.success = true,
          .output = text ? std::optional(fmt::format("{}  {}\n", md5_of(*text), command.words[1]))
                         : std::nullopt};
}

// cut -d SEPARATOR -f FIELD of what it is given.
ShellAnswer ask_cut(const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"d", "f", "delimiter", "fields"});
  if (!command.exact || !command.input || !words.options.empty() || !words.operands.empty()) {
    return {};
  }
  return {.success = true,
          .output = cut_field(words.value("-d", "--delimiter").value_or(""),
                              words.value("-f", "--fields").value_or(""), *command.input)};
}

// stat -c FORMAT FILE, of mode and numbers of owners.
ShellAnswer ask_stat(const ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"c", "format"});
  const auto format = words.value("-c", "--format");
  const auto path =
      words.operands.size() == 1 ? image_path(command, words.operands.front()) : std::nullopt;
  if (!command.exact || !path || !format) {
    return {};
  }
  const layer::Entry* entry = state.image.find_real(*path);
  if (entry == nullptr) {
    return {.success = false, .output = ""};
  }
  if (entry->type == layer::EntryType::symlink || entry->type == layer::EntryType::hardlink) {
    return {.success = true};
  }
  ShellAnswer answer{.success = true};
  if (*format == "%a") {
    answer.output = fmt::format("{:o}\n", entry->mode);
  } else if (*format == "%u" || *format == "%g") {
    answer.output = fmt::format("{}\n", *format == "%u" ? entry->uid : entry->gid);
  }
  return answer;
}

// paperconf: what libpaper's file says.
ShellAnswer ask_paper(const ScriptState& state) {
  auto text = state.image.read("etc/papersize", max_queried);
  return {.success = true, .output = text ? std::move(*text) : "a4\n"};
}

// seq FIRST [STEP] LAST.
ShellAnswer ask_sequence(const ShellCommand& command) {
  constexpr std::size_t max_numbers = 1'000;
  std::vector<long> numbers;
  for (const std::string& word : std::span(command.words).subspan(1)) {
    long number = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
    if (parsed.ec != std::errc{} || parsed.ptr != word.data() + word.size() ||
        std::abs(number) > 1'000'000) {
      return {};
    }
    numbers.push_back(number);
  }
  if (!command.exact || numbers.empty() || numbers.size() > 3) {
    return {};
  }
  const long first = numbers.size() > 1 ? numbers[0] : 1;
  const long step = numbers.size() == 3 ? numbers[1] : 1;
  std::string text;
  std::size_t count = 0;
  for (long i = first; step != 0 && (step > 0 ? i <= numbers.back() : i >= numbers.back());
       i += step) {
    if (++count > max_numbers) {
      return {};
    }
    text += fmt::format("{}\n", i);
  }
  return {.success = true, .output = std::move(text)};
}

}  // namespace

bool run_query(ScriptState& state, const ShellCommand& command, ShellAnswer& answer) {
  const std::string& name = command.words.front();
  if (name.starts_with("db_")) {
    answer = ask_debconf(state, command);
  } else if (name == "dpkg") {
    answer = ask_dpkg(state, command);
  } else if (name == "dpkg-query") {
    answer = ask_package(state, command);
  } else if (name == "getent" || name == "id") {
    answer = ask_accounts(state, command);
  } else if (name == "command" || name == "which" || name == "type") {
    answer = ask_program(state, command);
  } else if (name == "dirname" || name == "basename") {
    answer = ask_path(command);
  } else if (name == "readlink") {
    answer = ask_link(state, command);
  } else if (name == "cat") {
    answer = ask_content(state, command);
  } else if (name == "grep" || name == "egrep" || name == "fgrep") {
    answer = ask_grep(state, command);
  } else if (name == "mountpoint" || name == "systemd-detect-virt") {
    answer = found_or_not(false);
  } else if (name == "ischroot" || (name == "perl" && command.words.back().empty())) {
    answer.success = true;  // perl -e ""
  } else if (name == ".") {
    answer = ask_source(state, command);
  } else if (name == "md5sum") {
    answer = ask_md5(state, command);
  } else if (name == "paperconf" && command.words.size() == 1) {
    answer = ask_paper(state);
  } else if (name == "awk" && command.exact && command.words.size() == 2 && command.input) {
    answer = {.success = true, .output = print_field(command.words[1], *command.input)};
  } else if (name == "cut") {
    answer = ask_cut(command);
  } else if (name == "stat") {
    answer = ask_stat(state, command);
  } else if (name == "seq") {
    answer = ask_sequence(command);
  } else if (name == "getcap") {
    answer = {.success = true, .output = ""};  // packages come without
  } else {
    return false;
  }
  return true;
}

}  // namespace fnimage::source::debian
