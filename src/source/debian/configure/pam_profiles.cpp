// See the header. Thread-safety: see script_state.hpp.
#include "debian/configure/pam_profiles.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fnimage/base/text.hpp>

#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_pam_file = std::uint64_t{1} << 16;
constexpr std::size_t max_profiles = 1'000;  // each is compared with each
constexpr std::string_view profile_directory = "usr/share/pam-configs";
constexpr std::string_view template_prefix = "usr/share/pam/common-";
constexpr std::string_view stack_prefix = "etc/pam.d/common-";
constexpr std::string_view record_directory = "var/lib/pam";
constexpr std::string_view blanks = " \t\n\r\f\v";

// With nothing in the first block, a line keeps the jumps of the template right.
constexpr std::string_view permitting_line = "[default=1]\t\t\tpam_permit.so";

// What one file is about: "auth" in its own name and before each of its lines, "Auth" in profiles.
struct StackKind {
  std::string_view name;
  std::string_view field;
  std::string_view type;
};

constexpr std::array<StackKind, 5> stack_kinds{
    {{"auth", "Auth", "auth"},
     {"account", "Account", "account"},
     {"password", "Password", "password"},
     {"session", "Session", "session"},
     {"session-noninteractive", "Session-noninteractive", "session"}}};

struct PamProfile {
  std::string name{};  ///< of its file
  std::map<std::string, std::string, std::less<>> fields{};
  std::set<std::string, std::less<>> conflicts{};
  int priority = 0;

  [[nodiscard]] std::string_view get(std::string_view field) const {
    const auto found = fields.find(field);
    return found != fields.end() ? std::string_view(found->second) : std::string_view();
  }
};

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

// "Auth-Type: Primary": a word that ends in a colon, at the line's start. What follows keeps its
// blanks at the end.
std::optional<std::pair<std::string, std::string>> profile_field(std::string_view line) {
  const std::string_view word = line.substr(0, line.find_first_of(blanks));
  if (word.size() < 2 || !word.ends_with(':')) {
    return std::nullopt;
  }
  std::string_view name = word.substr(0, word.size() - 1);
  constexpr std::string_view old_suffix = "-Final";
  if (name.ends_with(old_suffix)) {
    name.remove_suffix(old_suffix.size());
  }
  std::string_view value = line.substr(word.size());
  value.remove_prefix(std::min(value.find_first_not_of(blanks), value.size()));
  return std::pair(std::string(name), std::string(value));
}

void add_conflicts(PamProfile& profile, std::string_view value) {
  constexpr std::string_view separator = ", ";
  while (!value.empty()) {
    const std::size_t end = value.find(separator);
    profile.conflicts.emplace(value.substr(0, end));
    value.remove_prefix(end == std::string_view::npos ? value.size() : end + separator.size());
  }
}

// A profile without its own lines for sessions of nobody has those of all sessions, unless it says
// that it is for interactive ones.
void derive_noninteractive(PamProfile& profile) {
  if (profile.fields.contains("Session-Interactive-Only")) {
    return;
  }
  for (const std::string_view part : {"-Type", "", "-Initial"}) {
    profile.fields.insert_or_assign(fmt::format("Session-noninteractive{}", part),
                                    std::string(profile.get(fmt::format("Session{}", part))));
  }
}

PamProfile parse_profile(std::string name, std::string_view text) {
  PamProfile profile{.name = std::move(name)};
  std::string field;
  for (const std::string_view line : split(text, '\n')) {
    if (auto found = profile_field(line)) {
      field = std::move(found->first);
      if (field == "Conflicts") {
        add_conflicts(profile, found->second);
      } else {
        profile.fields.insert_or_assign(field, std::move(found->second));
      }
    } else if (const auto more = without_blanks(line); !more.empty() && !field.empty()) {
      std::string& value = profile.fields[field];
      value += (value.empty() ? "" : "\n") + std::string(more);
    }
  }
  derive_noninteractive(profile);
  const std::string_view priority = profile.get("Priority");
  std::from_chars(priority.data(), priority.data() + priority.size(), profile.priority);
  return profile;
}

// Of a module that is no more.
bool is_obsolete(const PamProfile& profile) {
  return std::ranges::any_of(profile.fields, [](const auto& field) {
    return field.second.find("pam_tally") != std::string::npos;
  });
}

// Those of the image: the highest priority first, then the last name.
Result<std::vector<PamProfile>> profiles_of(const ImageView& image) {
  std::vector<PamProfile> profiles;
  const std::vector<std::string> names = image.names_in(profile_directory);
  if (names.size() > max_profiles) {
    return fail(ErrorCode::invalid_input,
                fmt::format("/{}: more than {} files", profile_directory, max_profiles));
  }
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", profile_directory, name);
    const bool is_backup = name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
    if (is_backup || image.file(path) == nullptr) {
      continue;
    }
    FNIMAGE_TRY(const std::string text, image.read(path, max_pam_file));
    if (PamProfile profile = parse_profile(name, text); !is_obsolete(profile)) {
      profiles.push_back(std::move(profile));
    }
  }
  std::ranges::sort(profiles, [](const PamProfile& a, const PamProfile& b) {
    return std::tie(a.priority, a.name) > std::tie(b.priority, b.name);
  });
  return profiles;
}

using ChosenProfiles = std::vector<const PamProfile*>;

// What a profile conflicts with goes, beginning with the first one's, until nothing conflicts.
void drop_conflicts(ChosenProfiles& chosen) {
  bool dropped = true;
  while (dropped) {
    dropped = false;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const PamProfile* const keeper = chosen[i];
      dropped |= std::erase_if(chosen, [&](const PamProfile* other) {
                   return keeper->conflicts.contains(other->name);
                 }) > 0;
    }
  }
}

ChosenProfiles choose_profiles(const ScriptState& state, const std::vector<PamProfile>& profiles) {
  ChosenProfiles chosen;
  for (const PamProfile& profile : profiles) {
    const bool wanted = profile.get("Default") == "yes" || state.pam_enabled.contains(profile.name);
    if (wanted && !state.pam_disabled.contains(profile.name)) {
      chosen.push_back(&profile);
    }
  }
  drop_conflicts(chosen);
  return chosen;
}

// The lines of a profile for a stack; the first one of a block may have others.
std::string_view lines_of(const PamProfile& profile, const StackKind& kind, bool first) {
  const std::string_view initial = profile.get(fmt::format("{}-Initial", kind.field));
  return first && !initial.empty() ? initial : profile.get(kind.field);
}

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Where a line's module ends: after "required" or "[success=end …]", blanks, and its name. nullopt
// when the line is none.
std::optional<std::size_t> end_of_module(std::string_view line) {
  const bool has_list = line.starts_with('[');
  const std::size_t control = has_list ? line.find(']') + 1 : line.find_first_of(blanks);
  if (control == 0 || control >= line.size() ||
      (!has_list && !std::ranges::all_of(line.substr(0, control), is_word_character))) {
    return std::nullopt;
  }
  const std::size_t module = line.find_first_not_of(blanks, control);
  if (module == control || module == std::string_view::npos) {
    return std::nullopt;
  }
  return std::min(line.find_first_of(blanks, module), line.size());
}

// One line of a profile as it is in a stack: the control word and the module as they are but for
// the distance of jumps to the end, the module's arguments with one blank between.
std::optional<std::string> stack_line(std::string_view line, long distance) {
  const auto end = end_of_module(line);
  if (!end) {
    return std::nullopt;
  }
  constexpr std::string_view jump = "end";
  const std::string number = std::to_string(distance);
  std::string text(line.substr(0, *end));
  for (std::size_t at = text.find(jump); at != std::string::npos;
       at = text.find(jump, at + number.size())) {
    text.replace(at, jump.size(), number);
  }
  return fmt::format("{} {}", text, fmt::join(words(line.substr(*end)), " "));
}

// The lines of one block. nullopt when a profile has one that is none.
std::optional<std::string> block_of(const ChosenProfiles& chosen, const StackKind& kind,
                                    std::string_view block) {
  std::vector<std::string_view> lines;
  bool first = true;
  for (const PamProfile* profile : chosen) {
    if (profile->get(fmt::format("{}-Type", kind.field)) != block) {
      continue;
    }
    const std::string_view text = lines_of(*profile, kind, first);
    first = false;
    if (!text.empty()) {
      const auto more = split(text, '\n');
      lines.insert(lines.end(), more.begin(), more.end());
    }
  }
  const bool is_primary = block == "Primary";
  if (is_primary && lines.empty()) {
    return fmt::format("{}\t{}\n", kind.type, permitting_line);
  }
  // Jumps of the first block go over what denies after it, those of the second stay in the stack.
  long distance = static_cast<long>(lines.size()) - (is_primary ? 0 : 1);
  std::string result;
  for (const std::string_view line : lines) {
    const auto made = stack_line(line, distance--);
    if (!made) {
      return std::nullopt;
    }
    result += fmt::format("{}\t{}\n", kind.type, *made);
  }
  return result;
}

// A template with both blocks in it; nullopt when it does not have their marks.
std::optional<std::string> fill_template(std::string_view text, std::string_view primary,
                                         std::string_view additional) {
  struct Mark {
    std::string_view start;
    std::string_view after;  ///< what follows the mark
  };
  const std::array<Mark, 4> marks{
      {{"# here are the per-package modules (the \"Primary\" block)", primary},
       {"# here's the fallback if no module succeeds", {}},
       {"# and here are more per-package modules (the \"Additional\" block)", additional},
       {"# end of pam-auth-update config", {}}}};
  std::string result;
  std::size_t passed = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    text.remove_prefix(line.size());
    const bool is_mark = passed < marks.size() && line.starts_with(marks.at(passed).start);
    const bool is_replaced = passed % 2 == 1;  // between a block's mark and the next
    if (is_mark || !is_replaced) {
      result += line;
    }
    if (is_mark) {
      result += marks.at(passed++).after;
    }
  }
  return passed == marks.size() ? std::optional(std::move(result)) : std::nullopt;
}

// What a stack was made of, which pam-auth-update compares with on its next run.
std::string record_of(const ChosenProfiles& chosen, const StackKind& kind) {
  std::string record;
  for (const std::string_view other : {"Additional", "Primary"}) {
    bool first = true;
    for (const PamProfile* profile : chosen) {
      const std::string_view type = profile->get(fmt::format("{}-Type", kind.field));
      if (type.empty() || type == other) {
        continue;
      }
      if (const auto lines = lines_of(*profile, kind, first); !lines.empty()) {
        record += fmt::format("Module: {}\n{}\n", profile->name, lines);
      }
      first = false;
    }
    if (first && other == "Additional") {
      record += fmt::format("Module: null\n{}\n", permitting_line);
    }
  }
  return record;
}

struct PamStack {
  const StackKind* kind = nullptr;
  std::string text{};
  std::string record{};
};

// All five, or none; nullopt when one of them cannot be made.
Result<std::optional<std::vector<PamStack>>> make_stacks(const ImageView& image,
                                                         const ChosenProfiles& chosen) {
  std::vector<PamStack> stacks;
  for (const StackKind& kind : stack_kinds) {
    const std::string path = fmt::format("{}{}", template_prefix, kind.name);
    const auto primary = block_of(chosen, kind, "Primary");
    const auto additional = block_of(chosen, kind, "Additional");
    if (!primary || !additional || image.file(path) == nullptr) {
      return std::nullopt;
    }
    FNIMAGE_TRY(const std::string text, image.read(path, max_pam_file));
    auto filled = fill_template(text, *primary, *additional);
    if (!filled) {
      return std::nullopt;
    }
    stacks.push_back({&kind, std::move(*filled), record_of(chosen, kind)});
  }
  return stacks;
}

// False for what a first installation does not do.
bool read_options(ScriptState& state, const ShellCommand& command) {
  std::set<std::string>* names = nullptr;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string& word = command.words[i];
    if (!word.starts_with("--")) {
      if (names != nullptr) {
        names->insert(word);
      }
      continue;
    }
    names = word == "--enable" ? &state.pam_enabled
                               : (word == "--disable" ? &state.pam_disabled : nullptr);
    if (word == "--root") {
      if (++i == command.words.size() || !(command.words[i].empty() || command.words[i] == "/")) {
        return false;
      }
    } else if (names == nullptr && word != "--package" && word != "--force") {
      return false;
    }
  }
  return true;
}

bool has_stacks(const ImageView& image) {
  return std::ranges::any_of(stack_kinds, [&](const StackKind& kind) {
    return image.find_real(fmt::format("{}{}", stack_prefix, kind.name)) != nullptr;
  });
}

}  // namespace

Result<Effect> request_pam_stacks(ScriptState& state, const ShellCommand& command) {
  if (!command.exact || !command.sure || !read_options(state, command)) {
    return Effect::uncovered;
  }
  state.pam_requests.try_emplace(state.package, join(command.words, " "));
  return Effect::done;
}

Result<Effect> make_pam_stacks(ScriptState& state) {
  if (has_stacks(state.image)) {
    return Effect::uncovered;
  }
  FNIMAGE_TRY(const std::vector<PamProfile> profiles, profiles_of(state.image));
  const ChosenProfiles chosen = choose_profiles(state, profiles);
  if (chosen.empty()) {
    return Effect::uncovered;
  }
  FNIMAGE_TRY(auto stacks, make_stacks(state.image, chosen));
  if (!stacks) {
    return Effect::uncovered;
  }
  if (!state.image.directory(record_directory)) {
    FNIMAGE_CHECK(state.image.add_directory(record_directory, 0755));
  }
  std::string seen;
  for (const PamProfile& profile : profiles) {
    seen += profile.name + "\n";
  }
  FNIMAGE_CHECK(state.image.add_file(fmt::format("{}/seen", record_directory), std::move(seen)));
  for (PamStack& stack : *stacks) {
    FNIMAGE_CHECK(state.image.add_file(fmt::format("{}{}", stack_prefix, stack.kind->name),
                                       std::move(stack.text)));
    FNIMAGE_CHECK(state.image.add_file(fmt::format("{}/{}", record_directory, stack.kind->name),
                                       std::move(stack.record)));
  }
  return Effect::done;
}

}  // namespace fnimage::source::debian
