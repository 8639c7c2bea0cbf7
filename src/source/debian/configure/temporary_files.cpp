// See the header. /run is made too: an image's is not empty on Debian either.
#include "debian/configure/temporary_files.hpp"

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "debian/configure/file_mode.hpp"
#include "debian/deb822.hpp"

namespace fnimage::source::debian {
namespace {

constexpr std::uint64_t max_configuration = std::uint64_t{1} << 16;

struct TemporaryFile {
  char type = '\0';
  bool replaces = false;  ///< "L+"
  std::string path{};
  std::optional<std::uint32_t> mode{};  ///< nullopt: "-"
  std::optional<std::uint32_t> uid{};
  std::optional<std::uint32_t> gid{};
  bool keeps_mode = false;  ///< of what is there already (":0700")
  bool keeps_uid = false;
  bool keeps_gid = false;
  std::string argument{};
};

// Lines about attributes, lists of access rights, and the owner of what is there already.
bool is_adjustment(char type) {
  return std::string_view("zZaAhHtT").find(type) != std::string_view::npos;
}

// Takes the marks off a field: ":" applies to what is made only, "~" to bits that are there.
std::string_view without_marks(std::string_view field, bool& keeps) {
  while (field.starts_with('~') || field.starts_with(':')) {
    keeps = keeps || field.front() == ':';
    field.remove_prefix(1);
  }
  return field;
}

// nullopt: a number or name that is not known, or a specifier ("%m").
std::optional<TemporaryFile> parse_line(const ScriptState& state, std::string_view line) {
  const auto fields = words(line);
  const auto field = [&](std::size_t i) {
    return i < fields.size() && fields[i] != "-" ? fields[i] : std::string_view();
  };
  TemporaryFile file{.type = fields[0].front(),
                     .replaces = fields[0].find('+') != std::string_view::npos};
  auto path = layer::clean_path(field(1));
  if (!field(1).starts_with('/') || !path || path->empty() ||
      line.find('%') != std::string_view::npos) {
    return std::nullopt;
  }
  file.path = std::move(*path);
  const std::string_view mode = without_marks(field(2), file.keeps_mode);
  const std::string_view user = without_marks(field(3), file.keeps_uid);
  const std::string_view group = without_marks(field(4), file.keeps_gid);
  file.mode = mode.empty() ? std::nullopt : changed_mode(mode, 0, false);
  file.uid = user.empty() ? std::nullopt : state.users.find(user);
  file.gid = group.empty() ? std::nullopt : state.groups.find(group);
  if ((!mode.empty() && !file.mode) || (!user.empty() && !file.uid) ||
      (!group.empty() && !file.gid)) {
    return std::nullopt;
  }
  if (fields.size() > 6) {
    file.argument = trim(line.substr(static_cast<std::size_t>(fields[6].data() - line.data())));
  }
  return file;
}

void adjust(layer::Entry& entry, const TemporaryFile& file) {
  entry.mode = file.keeps_mode ? entry.mode : file.mode.value_or(entry.mode);
  entry.uid = file.keeps_uid ? entry.uid : file.uid.value_or(entry.uid);
  entry.gid = file.keeps_gid ? entry.gid : file.gid.value_or(entry.gid);
}

Result<Effect> make_one_directory(ScriptState& state, const TemporaryFile& file) {
  if (state.image.find_real(file.path) == nullptr) {
    FNIMAGE_CHECK(state.image.add_directory(file.path, file.mode.value_or(0755),
                                            file.gid.value_or(0), file.uid.value_or(0)));
  } else if (state.image.directory(file.path)) {
    TemporaryFile whole = file;  // without a mode it is that of a new directory
    whole.mode = file.mode.value_or(0755);
    state.image.change(file.path, [&](layer::Entry& entry) { adjust(entry, whole); });
  }
  return Effect::done;
}

Result<Effect> make_one_link(ScriptState& state, const TemporaryFile& file) {
  const layer::Entry* existing = state.image.find_real(file.path);
  const bool is_same = existing != nullptr && existing->link == file.argument;
  if (file.argument.empty() || is_same || (existing != nullptr && !file.replaces)) {
    return Effect::done;
  }
  if (existing != nullptr && existing->type == layer::EntryType::directory) {
    return Effect::uncovered;
  }
  FNIMAGE_CHECK(state.image.add_link(file.path, file.argument));
  return Effect::done;
}

Result<Effect> make_one_file(ScriptState& state, const TemporaryFile& file) {
  if (state.image.find_real(file.path) != nullptr) {
    return file.replaces ? Effect::uncovered : Effect::done;
  }
  FNIMAGE_CHECK(state.image.add_file(file.path,
                                     file.argument.empty() ? std::string() : file.argument + "\n",
                                     file.mode.value_or(0644), file.gid.value_or(0)));
  state.image.change(file.path, [&](layer::Entry& entry) { entry.uid = file.uid.value_or(0); });
  return Effect::done;
}

// Of what is there. Attributes and lists of rights are not kept where no image needs them.
Result<Effect> adjust_one(ScriptState& state, const TemporaryFile& file) {
  if (state.image.resolve(file.path) == nullptr || file.type == 'h' || file.type == 'H') {
    return Effect::done;
  }
  if (file.type == 'z') {
    state.image.change(file.path, [&](layer::Entry& entry) { adjust(entry, file); });
    return Effect::done;
  }
  return is_outside_image(file.path) ? Effect::done : Effect::uncovered;
}

Result<Effect> make_one(ScriptState& state, const TemporaryFile& file) {
  if (is_adjustment(file.type)) {
    return adjust_one(state, file);
  }
  switch (file.type) {
    case 'd':
    case 'D':
    case 'v':
    case 'q':
    case 'Q':
      return make_one_directory(state, file);
    case 'L':
      return make_one_link(state, file);
    case 'f':
      return make_one_file(state, file);
    case 'C': {  // a copy of what is not there is none
      const auto source = layer::clean_path(file.argument);
      const bool is_needless =
          state.image.find_real(file.path) != nullptr ||
          (source && !source->empty() && state.image.resolve(*source) == nullptr);
      return is_needless ? Effect::done : Effect::uncovered;
    }
    default:
      return Effect::uncovered;
  }
}

// Lines that are for booting only ("d!"), that need a credential ("f^"), of which there is none,
// about cleaning, or about files named by the machine's id.
bool is_for_machines(std::string_view line) {
  const auto fields = words(line);
  const std::string_view type = fields.front();
  const bool has_id = fields.size() > 1 && fields[1].find("%m") != std::string_view::npos;
  const bool is_cleaning = std::string_view("xXrRe").find(type.front()) != std::string_view::npos;
  return is_cleaning || type.find_first_of("!^") != std::string_view::npos ||
         (has_id && is_adjustment(type.front()));
}

}  // namespace

Result<Effect> make_temporary_files(ScriptState& state, const std::vector<std::string>& names) {
  Effect effect = Effect::done;
  for (const std::string& name : names) {
    const std::string path = fmt::format("usr/lib/tmpfiles.d/{}", name);
    if (name.find('/') != std::string::npos || state.image.file(path) == nullptr) {
      continue;
    }
    FNIMAGE_TRY(const std::string text, state.image.read(path, max_configuration));
    for (const std::string_view line : split(text, '\n')) {
      const std::string_view plain = trim(line);
      if (plain.empty() || plain.starts_with('#') || is_for_machines(plain)) {
        continue;
      }
      const auto file = parse_line(state, plain);
      FNIMAGE_TRY(const Effect one,
                  file ? make_one(state, *file) : Result<Effect>(Effect::uncovered));
      effect = one == Effect::uncovered ? one : effect;
    }
  }
  return effect;
}

}  // namespace fnimage::source::debian
