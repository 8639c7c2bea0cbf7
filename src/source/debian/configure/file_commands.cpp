// The commands of coreutils that maintainer scripts change files with, on an image. A command that
// is not exactly known, or not sure to run, changes nothing and is uncovered; what would fail does
// nothing. Paths go through the links of the image only. Thread-safety: see script_state.hpp.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/file_mode.hpp"
#include "debian/configure/script_state.hpp"

namespace fnimage::source::debian {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr std::uint64_t max_written = std::uint64_t{1} << 20;
constexpr std::uint32_t new_file_mode = 0666;  // but for the umask
constexpr std::uint32_t new_directory_mode = 0777;
constexpr std::size_t max_tree = 20'000;  // files of one recursive change

struct Owner {
  std::optional<std::uint32_t> uid{};
  std::optional<std::uint32_t> gid{};
};

// "root:shadow", "root.shadow", ":shadow", "man"; nullopt when one of them is not there.
std::optional<Owner> parse_owner(const ScriptState& state, std::string_view text) {
  Owner owner;
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos && !state.users.find(text)) {
    colon = text.find('.');
  }
  const std::string_view user = text.substr(0, colon);
  if (!user.empty() && !(owner.uid = state.users.find(user))) {
    return std::nullopt;
  }
  if (colon != std::string_view::npos && colon + 1 < text.size() &&
      !(owner.gid = state.groups.find(text.substr(colon + 1)))) {
    return std::nullopt;
  }
  return owner;
}

// A name that the image does not have: the command fails, as it does on Debian.
constexpr Effect nothing_to_do = Effect::done;

// A file and, when told to, everything below it.
std::vector<std::string> targets_of(const ScriptState& state, const std::string& path,
                                    bool recursive) {
  std::vector<std::string> targets{path};
  const auto directory = recursive ? state.image.directory(path) : std::nullopt;
  if (directory) {
    const auto below = state.image.paths_below(*directory);
    targets.insert(targets.end(), below.begin(), below.end());
  }
  return targets;
}

bool is_recursive(const CommandWords& words) {
  return words.options.contains("-R") || words.options.contains("--recursive");
}

template <typename Change>
Result<Effect> change_all(ScriptState& state, const ShellCommand& command,
                          const CommandWords& words, const Change& change) {
  for (std::size_t i = 1; i < words.operands.size(); ++i) {
    const auto path = image_path(command, words.operands[i]);
    if (!path) {
      return Effect::uncovered;
    }
    const std::vector<std::string> targets = targets_of(state, *path, is_recursive(words));
    if (targets.size() > max_tree) {
      return Effect::uncovered;
    }
    for (const std::string& target : targets) {
      state.image.change(target, change);
    }
  }
  return Effect::done;
}

Result<Effect> run_chmod(ScriptState& state, const ShellCommand& command) {
  CommandWords words = parse_words(command);
  if (command.words.size() > 2 &&
      command.words[1].find_first_not_of("-rwxXst") == std::string::npos &&
      words.operands.size() == 1) {
    words.operands.insert(words.operands.begin(), command.words[1]);  // "chmod -x file"
  }
  if (words.values.contains("--reference")) {
    return Effect::uncovered;
  }
  if (words.operands.size() < 2) {
    return nothing_to_do;
  }
  const std::string& mode = words.operands.front();
  if (!changed_mode(mode, 0, false)) {
    return Effect::uncovered;
  }
  return change_all(state, command, words, [&](Entry& entry) {
    if (entry.type != EntryType::symlink) {
      entry.mode =
          changed_mode(mode, entry.mode, entry.type == EntryType::directory).value_or(entry.mode);
    }
  });
}

Result<Effect> run_chown(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"from"});
  if (words.values.contains("--reference") || words.values.contains("--from")) {
    return Effect::uncovered;
  }
  if (words.operands.size() < 2) {
    return nothing_to_do;
  }
  const bool is_group = command.words.front().ends_with("chgrp");
  const auto owner = parse_owner(state, (is_group ? ":" : "") + words.operands.front());
  if (!owner) {
    return Effect::uncovered;
  }
  return change_all(state, command, words, [&](Entry& entry) {
    entry.uid = owner->uid.value_or(entry.uid);
    entry.gid = owner->gid.value_or(entry.gid);
  });
}

Result<void> make_one_directory(ScriptState& state, const std::string& path, std::string_view mode,
                                const Owner& owner) {
  if (state.image.resolve(path) != nullptr) {
    return {};
  }
  return state.image.add_directory(path, changed_mode(mode, 0755, true).value_or(0755),
                                   owner.gid.value_or(0), owner.uid.value_or(0));
}

Result<Effect> run_mkdir(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"m", "mode"});
  for (const std::string& word : words.operands) {
    const auto path = image_path(command, word);
    if (!path) {
      return Effect::uncovered;
    }
    FNIMAGE_CHECK(
        make_one_directory(state, *path,
                           words.value("-m", "--mode")
                               .value_or(fmt::format("{:04o}", new_directory_mode & ~command.mask)),
                           {}));
  }
  return Effect::done;
}

// Where a file goes that is copied, moved or linked to a path: into it, when it is a directory.
std::optional<std::string> destination_of(const ScriptState& state, const ShellCommand& command,
                                          const std::string& source, const std::string& target) {
  auto path = image_path(command, target);
  if (path && state.image.directory(*path)) {
    return fmt::format("{}/{}", *path, source.substr(source.rfind('/') + 1));
  }
  return path;
}

Result<void> copy_file(ScriptState& state, const std::string& from, const std::string& to,
                       std::optional<std::uint32_t> mode, const Owner& owner) {
  const Entry* source = state.image.file(from);
  if (source == nullptr) {
    return {};
  }
  Entry copy = *source;
  copy.mode = mode.value_or(copy.mode);
  copy.uid = owner.uid.value_or(copy.uid);
  copy.gid = owner.gid.value_or(copy.gid);
  return state.image.add_copy(std::move(copy), to);
}

Result<Effect> run_install(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"m", "mode", "o", "owner", "g", "group"});
  const auto owner =
      parse_owner(state, fmt::format("{}:{}", words.value("-o", "--owner").value_or(""),
                                     words.value("-g", "--group").value_or("")));
  const std::string given = words.value("-m", "--mode").value_or("");
  const auto mode = changed_mode(given.empty() ? "0755" : given, 0, false);
  if (!owner || !mode) {
    return Effect::uncovered;
  }
  if (words.options.contains("-d") || words.options.contains("--directory")) {
    for (const std::string& word : words.operands) {
      const auto path = image_path(command, word);
      if (!path) {
        return Effect::uncovered;
      }
      FNIMAGE_CHECK(make_one_directory(state, *path, given.empty() ? "0755" : given, *owner));
    }
    return Effect::done;
  }
  if (words.operands.size() != 2) {
    return Effect::uncovered;
  }
  const auto to = destination_of(state, command, words.operands[0], words.operands[1]);
  if (!to) {
    return Effect::uncovered;
  }
  if (words.operands[0] == "/dev/null") {
    FNIMAGE_CHECK(state.image.add_file(*to, {}, *mode, owner->gid.value_or(0)));
    return Effect::done;
  }
  const auto from = image_path(command, words.operands[0]);
  if (!from) {
    return Effect::uncovered;
  }
  FNIMAGE_CHECK(
      copy_file(state, *from, *to, mode, {owner->uid.value_or(0), owner->gid.value_or(0)}));
  return Effect::done;
}

Result<Effect> run_touch(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"d", "r", "t", "date", "reference"});
  for (const std::string& word : words.operands) {
    const auto path = image_path(command, word);
    if (!path) {
      return Effect::uncovered;
    }
    if (state.image.find_real(*path) == nullptr && state.image.resolve(*path) == nullptr) {
      FNIMAGE_CHECK(state.image.add_file(*path, {}, new_file_mode & ~command.mask));
    }
  }
  return Effect::done;
}

Result<Effect> run_ln(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command);
  const auto has = [&](const char* letter, const char* name) {
    return words.options.contains(letter) || words.options.contains(name);
  };
  if (!has("-s", "--symbolic") || has("-r", "--relative") || words.operands.size() != 2) {
    return Effect::uncovered;
  }
  const std::string& text = words.operands[0];
  const auto path = has("-n", "--no-dereference") || has("-T", "--no-target-directory")
                        ? image_path(command, words.operands[1])
                        : destination_of(state, command, text, words.operands[1]);
  if (!path) {
    return Effect::uncovered;
  }
  const Entry* existing = state.image.find_real(*path);
  if (existing != nullptr && (existing->type == EntryType::directory || !has("-f", "--force"))) {
    return nothing_to_do;
  }
  FNIMAGE_CHECK(state.image.add_link(*path, text));
  return Effect::done;
}

Result<Effect> run_rm(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command);
  const bool recursive = words.options.contains("-r") || words.options.contains("-R") ||
                         words.options.contains("--recursive");
  for (const std::string& word : words.operands) {
    const auto path = image_path(command, word);
    if (!path) {
      continue;  // something that the script has made for itself
    }
    const Entry* existing = state.image.find_real(*path);
    if (existing != nullptr && (recursive || existing->type != EntryType::directory)) {
      state.image.remove(*path);
    }
  }
  return Effect::done;
}

// cp of one file, mv of one file or link.
Result<Effect> run_copy(ScriptState& state, const ShellCommand& command) {
  const CommandWords words = parse_words(command, {"S", "suffix"});
  const bool moves = command.words.front().ends_with("mv");
  if (words.operands.size() != 2) {
    return words.operands.size() < 2 ? nothing_to_do : Effect::uncovered;
  }
  const auto from = image_path(command, words.operands[0]);
  const auto to = destination_of(state, command, words.operands[0], words.operands[1]);
  if (!from || !to) {
    return Effect::uncovered;
  }
  const Entry* source = state.image.find_real(*from);
  const bool keeps_target = words.options.contains("-n") || words.options.contains("--no-clobber");
  if (source == nullptr || (keeps_target && state.image.find_real(*to) != nullptr)) {
    return nothing_to_do;
  }
  if (source->type == EntryType::directory) {
    return Effect::uncovered;
  }
  if (!moves) {
    FNIMAGE_CHECK(copy_file(state, *from, *to, std::nullopt, {}));
    return Effect::done;
  }
  Entry moved = *source;
  if (moved.type == EntryType::hardlink) {
    return Effect::uncovered;
  }
  state.image.remove(*from);
  FNIMAGE_CHECK(state.image.add_copy(std::move(moved), *to));
  return Effect::done;
}

struct FileCommand {
  std::string_view name;
  Result<Effect> (*run)(ScriptState&, const ShellCommand&);
};

constexpr std::array<FileCommand, 10> file_commands{{{"chgrp", run_chown},
                                                     {"chmod", run_chmod},
                                                     {"chown", run_chown},
                                                     {"cp", run_copy},
                                                     {"install", run_install},
                                                     {"ln", run_ln},
                                                     {"mkdir", run_mkdir},
                                                     {"mv", run_copy},
                                                     {"rm", run_rm},
                                                     {"touch", run_touch}}};

}  // namespace

std::optional<Result<Effect>> run_file_command(ScriptState& state, const ShellCommand& command) {
  const std::string& word = command.words.front();
  const std::string_view name = std::string_view(word).substr(word.rfind('/') + 1);
  const auto* const found = std::ranges::find(file_commands, name, &FileCommand::name);
  if (found == file_commands.end()) {
    return std::nullopt;
  }
  if (command.exact && command.sure) {
    return found->run(state, command);
  }
  if (name == "rm") {
    return Effect::done;  // of what was there before, and of files for the script's own use
  }
  const CommandWords words = parse_words(command, {"m", "o", "g"});
  const auto path =
      words.operands.empty() ? std::nullopt : image_path(command, words.operands.back());
  const bool is_outside = path && is_outside_image(*path);
  const bool sets_time = name == "touch" && path && state.image.find_real(*path) != nullptr;
  return is_outside || sets_time ? Effect::done : Effect::uncovered;
}

Result<Effect> write_outputs(ScriptState& state, const ShellCommand& command) {
  for (const ShellOutput& output : command.outputs) {
    const auto path = image_path(command, output.path);
    if (path && is_outside_image(*path)) {
      continue;
    }
    if (!path || !command.exact || !command.sure || !command.input) {
      return Effect::uncovered;
    }
    std::string text;
    if (output.appends && state.image.file(*path) != nullptr) {
      FNIMAGE_TRY(text, state.image.read(*path, max_written));
    }
    text += *command.input;
    if (text.size() > max_written) {
      return Effect::uncovered;
    }
    const Entry* old = state.image.file(*path);
    const std::uint32_t mode = old != nullptr ? old->mode : new_file_mode & ~command.mask;
    FNIMAGE_CHECK(
        state.image.add_file(*path, std::move(text), mode, old != nullptr ? old->gid : 0));
  }
  return Effect::done;
}

}  // namespace fnimage::source::debian
