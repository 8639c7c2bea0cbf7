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
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string argument{};
};

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
  const bool is_file = file.type == 'f' || file.type == 'F';
  std::string_view mode = field(2);
  while (mode.starts_with('~') || mode.starts_with(':')) {
    mode.remove_prefix(1);
  }
  const auto bits = changed_mode(mode.empty() ? (is_file ? "0644" : "0755") : mode, 0, false);
  const auto uid = state.users.find(field(3).empty() ? "0" : field(3));
  const auto gid = state.groups.find(field(4).empty() ? "0" : field(4));
  if (!bits || !uid || !gid) {
    return std::nullopt;
  }
  file.mode = *bits;
  file.uid = *uid;
  file.gid = *gid;
  if (fields.size() > 6) {
    file.argument = trim(line.substr(static_cast<std::size_t>(fields[6].data() - line.data())));
  }
  return file;
}

Result<Effect> make_one(ScriptState& state, const TemporaryFile& file) {
  const bool exists = state.image.find_real(file.path) != nullptr;
  switch (file.type) {
    case 'd':
    case 'D':
    case 'v':
    case 'q':
    case 'Q':
      if (!exists) {
        FNIMAGE_CHECK(state.image.add_directory(file.path, file.mode, file.gid, file.uid));
      } else if (state.image.directory(file.path)) {
        state.image.change(file.path, [&](layer::Entry& entry) {
          entry.mode = file.mode;
          entry.uid = file.uid;
          entry.gid = file.gid;
        });
      }
      return Effect::done;
    case 'L':
      if (!exists && !file.argument.empty()) {
        FNIMAGE_CHECK(state.image.add_link(file.path, file.argument));
      }
      return exists && file.replaces ? Effect::uncovered : Effect::done;
    case 'f':
      if (!exists) {
        FNIMAGE_CHECK(state.image.add_file(
            file.path, file.argument.empty() ? std::string() : file.argument + "\n", file.mode,
            file.gid));
        state.image.change(file.path, [&](layer::Entry& entry) { entry.uid = file.uid; });
      }
      return Effect::done;
    case 'x':
    case 'X':
    case 'r':
    case 'R':
    case 'e':
      return Effect::done;  // about what is there at run time
    default:
      return Effect::uncovered;
  }
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
      // "d!" is for booting only.
      if (plain.empty() || plain.starts_with('#') ||
          words(plain).front().find('!') != std::string_view::npos) {
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
