// Finding programs, see the header. Sources: execve(2), environ(7), passwd(5), group(5), env(1).
#include "programs.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>

#include "paths.hpp"

namespace fnimage::check {

namespace {

constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint64_t max_accounts_bytes = std::uint64_t{1} << 20;

std::optional<std::uint32_t> to_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(id) : std::nullopt;
}

/// The fields of a name's line, in passwd(5) or group(5); empty when there is none.
std::vector<std::string> account(const ImageFiles& files, std::string_view file,
                                 std::string_view name) {
  const std::optional<ImageFiles::Found> found = files.resolve(file);
  const std::optional<std::string> text =
      found ? text_of(found->node->entry, max_accounts_bytes) : std::nullopt;
  if (!text) {
    return {};
  }
  for (const std::string_view line : split(*text, '\n')) {
    const std::vector<std::string_view> fields = split(line, ':');
    if (fields.size() >= 4 && fields.front() == name) {
      return {fields.begin(), fields.end()};
    }
  }
  return {};
}

std::optional<std::uint32_t> group_of(const ImageFiles& files, std::string_view group) {
  if (const auto id = to_id(group)) {
    return id;
  }
  const std::vector<std::string> fields = account(files, "etc/group", group);
  return fields.empty() ? std::nullopt : to_id(fields[2]);
}

}  // namespace

std::vector<std::string> path_directories(const manifest::ImageConfig& config) {
  std::vector<std::string> directories;
  const std::string path = config.env_value("PATH").value_or(std::string(default_path));
  for (const std::string_view part : split(path, ':')) {
    if (!part.empty()) {
      directories.emplace_back(part);
    }
  }
  return directories;
}

std::optional<ImageFiles::Found> find_program(const ImageFiles& files, std::string_view word,
                                              const manifest::ImageConfig& config) {
  if (word.find('/') != std::string_view::npos) {
    return files.resolve(word.starts_with('/') ? std::string(word)
                                               : fmt::format("{}/{}", config.working_dir, word));
  }
  for (const std::string& directory : path_directories(config)) {
    std::optional<ImageFiles::Found> found = files.resolve(fmt::format("{}/{}", directory, word));
    constexpr std::uint32_t anybody = 0111;
    if (found && found->node->entry.type == layer::EntryType::file &&
        (found->node->entry.mode & anybody) != 0) {
      return found;
    }
  }
  return std::nullopt;
}

std::vector<std::string> shebang_words(std::string_view head) {
  if (!head.starts_with("#!")) {
    return {};
  }
  const std::string_view line = trim(head.substr(2, head.find('\n') - 2));
  std::vector<std::string> words;
  const std::size_t blank = line.find_first_of(" \t");
  if (!line.empty()) {
    words.emplace_back(line.substr(0, blank));
  }
  if (blank != std::string_view::npos) {
    words.emplace_back(trim(line.substr(blank)));  // one argument, blanks and all
  }
  return words;
}

std::optional<std::string> program_of_env(const std::vector<std::string>& words) {
  if (words.size() < 2 || !(words.front() == "env" || words.front().ends_with("/env"))) {
    return std::nullopt;
  }
  for (const std::string_view word : split(words[1], ' ')) {
    if (!word.empty() && !word.starts_with('-') && word.find('=') == std::string_view::npos) {
      return std::string(word);
    }
  }
  return std::nullopt;
}

std::optional<User> user_of(const ImageFiles& files, const manifest::ImageConfig& config) {
  const std::size_t colon = config.user.find(':');
  const std::string name = config.user.substr(0, colon);
  User user;
  if (const auto id = to_id(name)) {
    user.uid = *id;
  } else if (!name.empty() && name != "root") {
    const std::vector<std::string> fields = account(files, "etc/passwd", name);
    const auto uid = fields.empty() ? std::nullopt : to_id(fields[2]);
    const auto gid = fields.empty() ? std::nullopt : to_id(fields[3]);
    if (!uid || !gid) {
      return std::nullopt;
    }
    user = {.uid = *uid, .gid = *gid};
  }
  if (colon != std::string::npos) {
    const auto gid = group_of(files, config.user.substr(colon + 1));
    if (!gid) {
      return std::nullopt;
    }
    user.gid = *gid;
  }
  return user;
}

bool may_execute(const layer::Entry& entry, const User& user) noexcept {
  constexpr std::uint32_t owner = 0100;
  constexpr std::uint32_t group = 0010;
  constexpr std::uint32_t others = 0001;
  if (user.uid == 0) {
    return (entry.mode & (owner | group | others)) != 0;
  }
  if (entry.uid == user.uid) {
    return (entry.mode & owner) != 0;
  }
  return (entry.mode & (entry.gid == user.gid ? group : others)) != 0;
}

}  // namespace fnimage::check
