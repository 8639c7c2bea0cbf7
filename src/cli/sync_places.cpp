#include "sync_places.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/manifest/reference.hpp>
#include <fnimage/registry/layout_tree.hpp>

namespace fnimage::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view docker_prefix = "docker://";
constexpr std::string_view layout_prefix = "oci:";
constexpr const char* source_forms =
    "write HOST:PORT, HOST:PORT/team/, HOST:PORT/team/app, or oci:DIR for a directory of `fnimage "
    "serve`";

/// Nullopt: it is no directory.
Result<std::optional<SyncPlace>> parse_directory(std::string_view text) {
  const bool is_prefixed = text.starts_with(layout_prefix);
  if (!is_prefixed && !text.starts_with('/') && !text.starts_with('.')) {
    return std::nullopt;
  }
  const std::string path(text.substr(is_prefixed ? layout_prefix.size() : 0));
  std::error_code error;
  const fs::path directory = fs::weakly_canonical(fs::absolute(path, error), error);
  if (path.empty() || error) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" names no directory", printable(text)));
  }
  if (fs::exists(directory / "oci-layout", error)) {
    return fail(
        ErrorCode::invalid_argument,
        fmt::format("{} is one layout, not a directory of repositories", directory.string()),
        "name the directory above it, or use fnimage copy");
  }
  return SyncPlace{.directory = directory};
}

/// The registry, and what is behind it.
Result<SyncPlace> parse_host(std::string_view text) {
  if (text.starts_with(docker_prefix)) {
    text.remove_prefix(docker_prefix.size());
  }
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string host(text.substr(0, slash));
  // As references have it; so a name that lacks its registry is not taken for one.
  const auto probe = manifest::Reference::parse(host + "/a");
  if (!probe || probe->registry() != host) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" names no registry", printable(text)), source_forms);
  }
  return SyncPlace{.registry = host,
                   .repository = std::string(text.substr(std::min(slash + 1, text.size())))};
}

std::string full_name(const SyncPlace& place) {
  return place.registry + "/" + place.repository;
}

Result<SyncPlace> parse_reference(SyncPlace place) {
  FNIMAGE_TRY(const auto reference, manifest::Reference::parse(full_name(place)));
  place.repository = reference.repository();
  if (reference.digest()) {
    place.image = *reference.digest();
  } else if (reference.tag()) {
    place.image = *reference.tag();
  }
  return place;
}

bool is_pattern(const SyncPlace& place) {
  return place.repository.empty() || place.repository.find('*') != std::string::npos;
}

std::string set_key(const SyncPlace& place) {
  return place.registry.empty() ? place.directory.string() : place.registry;
}

Error at_line(const fs::path& file, std::size_t number, const Error& error) {
  return Error(ErrorCode::invalid_input, error.message())
      .with_hint(error.hint())
      .while_doing(fmt::format("{}, line {}", file.string(), number));
}

}  // namespace

Result<SyncPlace> parse_sync_source(std::string_view text) {
  FNIMAGE_TRY(auto directory, parse_directory(text));
  if (directory) {
    return std::move(*directory);
  }
  FNIMAGE_TRY(SyncPlace place, parse_host(text));
  if (place.repository.ends_with('/')) {
    place.repository += '*';
  }
  return is_pattern(place) ? Result<SyncPlace>(std::move(place))
                           : parse_reference(std::move(place));
}

Result<SyncPlace> parse_sync_destination(std::string_view text) {
  FNIMAGE_TRY(auto directory, parse_directory(text));
  if (directory) {
    return std::move(*directory);
  }
  FNIMAGE_TRY(SyncPlace place, parse_host(text));
  if (place.repository.ends_with('/')) {
    place.repository.pop_back();
  }
  if (!place.repository.empty() && !registry::is_valid_repository(place.repository)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("\"{}\" is no place for repositories", printable(text)),
                "write HOST:PORT, HOST:PORT/prefix, or oci:DIR; each repository keeps its name "
                "below it");
  }
  return place;
}

Result<std::vector<SyncPlace>> read_sync_list(const fs::path& file) {
  constexpr std::uint64_t longest = std::uint64_t{16} << 20U;
  FNIMAGE_TRY(const std::string text, read_file(file, longest));
  std::vector<SyncPlace> places;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    const std::string_view words = trim(line);
    if (words.empty() || words.starts_with('#')) {
      continue;
    }
    auto place = parse_sync_source(words);
    if (!place) {
      return fail(at_line(file, number, place.error()));
    }
    places.push_back(std::move(*place));
  }
  if (places.empty()) {
    return fail(ErrorCode::invalid_input, fmt::format("{} names nothing", file.string()),
                "write one reference in each line: HOST:PORT/team/app:v1");
  }
  return places;
}

registry::RepositorySet& SyncSources::set_of(const SyncPlace& place) {
  auto& set = sets_[set_key(place)];
  if (!set) {
    set = place.registry.empty() ? registry::directory_repositories(place.directory)
                                 : registry::registry_repositories(client_, place.registry);
  }
  return *set;
}

Result<void> SyncSources::add(const SyncPlace& place, const std::string& strip) {
  if (!is_pattern(place)) {
    return add_one(place, strip);
  }
  const std::string pattern = place.repository.empty() ? "*" : place.repository;
  FNIMAGE_TRY(auto found, registry::sync_items(set_of(place), pattern, strip));
  for (registry::SyncItem& item : found) {
    const std::string key = set_key(place) + "/" + item.from_name;
    if (by_source_.try_emplace(key, items_.size()).second) {
      items_.push_back(std::move(item));
    }
  }
  return {};
}

/// All lines about one repository are one item.
Result<void> SyncSources::add_one(const SyncPlace& place, const std::string& strip) {
  if (!place.repository.starts_with(strip) || place.repository.size() == strip.size()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{} does not begin with {}", place.repository, printable(strip)));
  }
  const auto [known, is_new] =
      by_source_.try_emplace(set_key(place) + "/" + place.repository, items_.size());
  if (is_new) {
    items_.push_back({.from = &set_of(place),
                      .from_name = place.repository,
                      .to_name = place.repository.substr(strip.size())});
  }
  std::vector<registry::Selector>& only = items_[known->second].only;
  if (!place.image || (!is_new && only.empty())) {
    only.clear();  // all of it
  } else {
    only.push_back(*place.image);
  }
  return {};
}

void SyncSources::leave_out(const SyncPlace& destination) {
  if (destination.registry.empty() || destination.repository.empty()) {
    return;
  }
  const std::string below = full_name(destination) + "/";
  std::erase_if(items_, [&](const registry::SyncItem& item) {
    return item.is_listed && item.from->describe(item.from_name).starts_with(below);
  });
}

std::unique_ptr<registry::RepositorySet> open_sync_place(const SyncPlace& place,
                                                         registry::Client& client) {
  return place.registry.empty()
             ? registry::directory_repositories(place.directory)
             : registry::registry_repositories(client, place.registry, place.repository);
}

}  // namespace fnimage::cli
