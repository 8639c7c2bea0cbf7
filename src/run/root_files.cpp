// See the header.
#include "root_files.hpp"

#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>

namespace fnimage::run {
namespace {

using layer::Entry;
using layer::EntryType;
using Map = layer::FileTree::Map;

constexpr std::uint64_t max_account_bytes = std::uint64_t{4} << 20;

void remove_all(Map& entries, const std::string& path) {
  entries.erase(path);
  const std::string prefix = path + "/";
  auto at = entries.lower_bound(prefix);
  while (at != entries.end() && at->first.starts_with(prefix)) {
    at = entries.erase(at);
  }
}

void put(Map& entries, Entry entry) {
  std::string path = entry.path;
  entries.insert_or_assign(std::move(path), std::move(entry));
}

/// Empty, whatever the image has there.
void put_mount_points(Map& entries) {
  for (const char* path : {"proc", "dev", "dev/shm", "tmp"}) {
    remove_all(entries, path);
    put(entries, {.path = path, .type = EntryType::directory, .mode = 0755});
  }
  for (const char* name : {"null", "zero", "full", "random", "urandom"}) {
    put(entries, {.path = fmt::format("dev/{}", name)});
  }
  for (const auto& [name, target] :
       {std::pair("fd", "/proc/self/fd"), std::pair("stdin", "/proc/self/fd/0"),
        std::pair("stdout", "/proc/self/fd/1"), std::pair("stderr", "/proc/self/fd/2")}) {
    put(entries, {.path = fmt::format("dev/{}", name), .type = EntryType::symlink, .link = target});
  }
}

/// The network is the host's, and so are its names.
Result<void> put_host_names(Map& entries) {
  const auto etc = entries.find("etc");
  if (etc != entries.end() && etc->second.type != EntryType::directory) {
    return {};
  }
  if (etc == entries.end()) {
    put(entries, {.path = "etc", .type = EntryType::directory, .mode = 0755});
  }
  for (const char* name : {"hosts", "resolv.conf"}) {
    const Result<std::string> text = read_file(std::string("/etc/") + name, std::uint64_t{1} << 20);
    if (text) {
      const std::string path = std::string("etc/") + name;
      remove_all(entries, path);
      put(entries, {.path = path, .content = memory_content(*text)});
    }
  }
  return {};
}

/// Files of one content are hard links of each other, as they came.
void link_copies(Map& entries) {
  std::map<const Content*, std::string> first;
  for (auto& [path, entry] : entries) {
    if (entry.type != EntryType::file || !entry.content) {
      continue;
    }
    const auto [at, is_first] = first.try_emplace(entry.content.get(), path);
    if (!is_first) {
      entry.type = EntryType::hardlink;
      entry.link = at->second;
      entry.content = nullptr;
    }
  }
}

std::optional<std::uint32_t> number_in(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

/// The lines of /etc/passwd or /etc/group; none where the image has no such file.
Result<std::vector<std::vector<std::string>>> accounts_of(const check::ImageFiles& files,
                                                          std::string_view path) {
  std::vector<std::vector<std::string>> accounts;
  const auto found = files.resolve(path);
  if (!found || found->node->entry.type != EntryType::file || !found->node->entry.content) {
    return accounts;
  }
  FNIMAGE_TRY(const auto reader, found->node->entry.content->open());
  FNIMAGE_TRY(const std::string text, read_all(*reader, max_account_bytes));
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> fields = split(line, ':');
    if (fields.size() >= 3) {
      accounts.emplace_back(fields.begin(), fields.end());
    }
  }
  return accounts;
}

constexpr std::size_t id_field = 2;

/// The account of a name or number; null: there is none.
const std::vector<std::string>* find_account(const std::vector<std::vector<std::string>>& accounts,
                                             std::string_view word) {
  for (const std::vector<std::string>& account : accounts) {
    if (account.front() == word) {
      return &account;
    }
  }
  for (const std::vector<std::string>& account : accounts) {
    if (account[id_field] == word) {
      return &account;
    }
  }
  return nullptr;
}

Result<std::uint32_t> id_of(const std::vector<std::string>* account, std::string_view word,
                            std::string_view file) {
  const auto id = number_in(account != nullptr ? std::string_view((*account)[id_field]) : word);
  if (!id) {
    return fail(ErrorCode::invalid_input,
                fmt::format("the image has no '{}' in {}", printable(word), file));
  }
  return *id;
}

}  // namespace

Result<Map> root_files(const check::ImageFiles& files) {
  if (files.has_too_deep() || !files.broken_links().empty() || !files.bad_whiteouts().empty()) {
    return fail(ErrorCode::invalid_input, "the image has layers that no runtime unpacks",
                "`fnimage check` says what is wrong with them");
  }
  Map entries;
  for (const auto& [path, node] : files.nodes()) {
    entries.emplace_hint(entries.end(), path, node.entry);
  }
  put_mount_points(entries);
  FNIMAGE_CHECK(put_host_names(entries));
  link_copies(entries);
  return entries;
}

Result<ImageUser> resolve_user(const check::ImageFiles& files, std::string_view user) {
  constexpr std::size_t group_field = 3;
  constexpr std::size_t home_field = 5;
  const std::size_t colon = user.find(':');
  const std::string_view name = user.empty() || colon == 0 ? "0" : user.substr(0, colon);
  const std::string_view group =
      colon == std::string_view::npos ? std::string_view{} : user.substr(colon + 1);
  FNIMAGE_TRY(const auto users, accounts_of(files, "etc/passwd"));
  const std::vector<std::string>* account = find_account(users, name);
  ImageUser found;
  FNIMAGE_TRY(found.uid, id_of(account, name, "/etc/passwd"));
  if (account != nullptr && account->size() > home_field) {
    found.gid = number_in((*account)[group_field]).value_or(0);
    found.home = (*account)[home_field].empty() ? found.home : (*account)[home_field];
  }
  if (!group.empty()) {
    FNIMAGE_TRY(const auto groups, accounts_of(files, "etc/group"));
    FNIMAGE_TRY(found.gid, id_of(find_account(groups, group), group, "/etc/group"));
  }
  return found;
}

}  // namespace fnimage::run
