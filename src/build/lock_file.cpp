// See the header. An entry of "locked" that is for all architectures belongs to all platforms,
// unless it names them.
#include "lock_file.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fnimage/base/json.hpp>
#include <fnimage/base/stream.hpp>
#include <fnimage/base/text.hpp>
#include <fnimage/build/init.hpp>
#include <fnimage/build/lock.hpp>
#include <fnimage/manifest/platform_match.hpp>

#include "spec_values.hpp"

namespace fnimage::build {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using source::DebianPackage;
using source::PackageSet;

constexpr std::int64_t lock_version = 1;
constexpr std::string_view version_key = "fnimage-lock";
constexpr std::uint64_t max_lock_bytes = std::uint64_t{16} << 20;
constexpr std::size_t max_lock_platforms = 32;
constexpr std::string_view remake = "run `fnimage lock` to make it anew";

std::vector<std::string> sorted(std::vector<std::string> values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// The same package on several platforms is one entry.
struct LockedEntry {
  DebianPackage package;
  std::vector<std::string> platforms;
};

std::vector<LockedEntry> entries_of(const PackageLock& lock) {
  std::map<std::tuple<std::string, std::string, std::string>, LockedEntry> entries;
  for (const PackageSet& set : lock.sets) {
    for (const DebianPackage& package : set.packages) {
      const auto key =
          std::tuple(package.name, package.architecture, std::string(package.sha256.hex()));
      LockedEntry& entry = entries.try_emplace(key, LockedEntry{package, {}}).first->second;
      entry.platforms.push_back(set.platform.str());
    }
  }
  std::vector<LockedEntry> result;
  result.reserve(entries.size());
  for (auto& [key, entry] : entries) {
    result.push_back(std::move(entry));
  }
  return result;
}

/// The platforms that an entry is for when it does not say.
bool is_for(const std::string& architecture, const manifest::Platform& platform) {
  return architecture == "all" || architecture == manifest::debian_architecture(platform);
}

std::string to_line(const LockedEntry& entry, const PackageLock& lock) {
  const DebianPackage& package = entry.package;
  ordered_json value{{"name", package.name},
                     {"version", package.version},
                     {"arch", package.architecture},
                     {"suite", package.suite},
                     {"file", package.file},
                     {"size", package.size},
                     {"sha256", std::string(package.sha256.hex())}};
  const auto implied = std::ranges::count_if(
      lock.sets, [&](const PackageSet& set) { return is_for(package.architecture, set.platform); });
  if (implied != static_cast<std::ptrdiff_t>(entry.platforms.size())) {
    value["platforms"] = entry.platforms;
  }
  return to_json_text(value);
}

// --- Reading ------------------------------------------------------------------------------------

tl::unexpected<Error> refuse(const std::string& path, std::string_view why) {
  return fail(ErrorCode::invalid_input, fmt::format("{}: {}", path, why), std::string(remake));
}

Result<std::vector<std::string>> read_texts(const JsonObject& object, std::string_view key,
                                            bool (*is_good)(std::string_view)) {
  std::vector<std::string> texts;
  const json* list = object.find(key);
  if (list == nullptr || !list->is_array()) {
    return refuse(object.path_of(key), "not a list");
  }
  for (const json& item : *list) {
    if (!item.is_string() || !is_good(item.get_ref<const std::string&>())) {
      return refuse(object.path_of(key), "has what cannot be in it");
    }
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

bool is_platform(std::string_view text) {
  return manifest::Platform::parse(text).has_value();
}

/// "pool/main/n/numpy/….deb": relative, and nowhere up.
bool is_archive_path(std::string_view path) {
  return path.size() <= 1024 && std::ranges::none_of(split(path, '/'), [](std::string_view part) {
           return part.empty() || part == "." || part == "..";
         });
}

Result<DebianPackage> read_package(const JsonObject& object) {
  DebianPackage package{.name = "",
                        .version = "",
                        .architecture = "",
                        .suite = "",
                        .file = "",
                        .sha256 = manifest::Digest::of(std::string_view())};
  FNIMAGE_TRY(package.name, object.string("name"));
  FNIMAGE_TRY(package.version, object.string("version"));
  FNIMAGE_TRY(package.architecture, object.string("arch"));
  FNIMAGE_TRY(package.suite, object.string("suite"));
  FNIMAGE_TRY(package.file, object.string("file"));
  FNIMAGE_TRY(const std::int64_t size, object.integer("size"));
  FNIMAGE_TRY(const std::string hash, object.string("sha256"));
  auto digest = manifest::Digest::parse("sha256:" + hash);
  if (!is_package_request(package.name + "=" + package.version)) {
    return refuse(object.path(), "not the name and version of a Debian package");
  }
  if (!is_package_name(package.architecture)) {
    return refuse(object.path_of("arch"), "not a Debian architecture");
  }
  const bool local = package.suite.empty();
  if (!local && !is_release_name(package.suite)) {
    return refuse(object.path_of("suite"), "not a Debian suite");
  }
  if (local ? !is_local_deb(package.file) : !is_archive_path(package.file)) {
    return refuse(object.path_of("file"), "not a path inside an archive");
  }
  if (size <= 0) {
    return refuse(object.path_of("size"), "not the size of a package");
  }
  if (!digest) {
    return refuse(object.path_of("sha256"), "not a SHA-256");
  }
  package.size = static_cast<std::uint64_t>(size);
  package.sha256 = std::move(*digest);
  return package;
}

Result<void> read_entry(const json& value, const std::string& path, PackageLock& lock) {
  FNIMAGE_TRY(const JsonObject object, JsonObject::of(value, path));
  FNIMAGE_TRY(DebianPackage package, read_package(object));
  std::vector<std::string> only;
  if (object.has("platforms")) {
    FNIMAGE_TRY(only, read_texts(object, "platforms", is_platform));
  }
  bool used = false;
  for (PackageSet& set : lock.sets) {
    const bool named = only.empty() || std::ranges::find(only, set.platform.str()) != only.end();
    if (!named || !is_for(package.architecture, set.platform)) {
      continue;
    }
    if (!set.packages.empty() && set.packages.back().name >= package.name) {
      return refuse(object.path_of("name"), "named twice for a platform, or not in order");
    }
    used = true;
    set.packages.push_back(package);
  }
  return used ? Result<void>() : refuse(path, "is for none of the lock's platforms");
}

Result<bool> read_flag(const JsonObject& object, std::string_view key) {
  const json* value = object.find(key);
  if (value == nullptr || !value->is_boolean()) {
    return refuse(object.path_of(key), "not true or false");
  }
  return value->get<bool>();
}

Result<LockedRequest> read_request(const JsonObject& root) {
  // What is compared with the build file and used for nothing else can be any text.
  const auto any = [](std::string_view /*text*/) { return true; };
  LockedRequest request;
  FNIMAGE_TRY(request.release, root.string("debian"));
  FNIMAGE_TRY(request.snapshot, root.string_or("snapshot", ""));
  FNIMAGE_TRY(request.components, read_texts(root, "components", any));
  FNIMAGE_TRY(request.suites, read_texts(root, "suites", any));
  FNIMAGE_TRY(request.repositories, read_texts(root, "repositories", any));
  FNIMAGE_TRY(request.essential, read_flag(root, "essential"));
  FNIMAGE_TRY(request.recommends, read_flag(root, "recommends"));
  FNIMAGE_TRY(request.packages, read_texts(root, "packages", any));
  FNIMAGE_TRY(request.exclude, read_texts(root, "exclude", any));
  return request;
}

/// "python3-h5py is asked for and not in it"
std::string difference(const std::vector<std::string>& locked,
                       const std::vector<std::string>& wanted, std::string_view doing) {
  for (const std::string& name : wanted) {
    if (!std::ranges::binary_search(locked, name)) {
      return fmt::format("the build file {} {}", doing, printable(name));
    }
  }
  for (const std::string& name : locked) {
    if (!std::ranges::binary_search(wanted, name)) {
      return fmt::format("the build file no longer {} {}", doing, printable(name));
    }
  }
  return {};
}

}  // namespace

LockedRequest LockedRequest::of(const DebianBase& base, const source::PackageRequest& request) {
  std::vector<std::string> packages = request.packages;
  packages.insert(packages.end(), request.local_debs.begin(), request.local_debs.end());
  LockedRequest locked{.release = base.release,
                       .snapshot = base.snapshot,
                       .components = base.components,
                       .suites = base.suites,
                       .essential = request.essential,
                       .recommends = request.recommends,
                       .packages = sorted(std::move(packages))};
  for (const PackageRepository& repository : base.repositories) {
    locked.repositories.push_back(
        fmt::format("{} {}", repository.suite, join(repository.components, " ")));
  }
  for (const auto& [name, reason] : request.exclude) {
    locked.exclude.push_back(name);
  }
  return locked;
}

const PackageSet* PackageLock::find(const manifest::Platform& platform) const {
  const auto found = std::ranges::find_if(
      sets, [&](const PackageSet& set) { return manifest::same_platform(set.platform, platform); });
  return found == sets.end() ? nullptr : &*found;
}

std::filesystem::path lock_path(const BuildSpec& spec) {
  const std::filesystem::path file =
      spec.file.empty() ? spec.directory / build_file_name : std::filesystem::path(spec.file);
  return std::filesystem::path(file).replace_extension(".lock");
}

std::string emit_lock(const PackageLock& lock) {
  ordered_json platforms = ordered_json::array();
  for (const PackageSet& set : lock.sets) {
    platforms.push_back(set.platform.str());
  }
  const LockedRequest& request = lock.request;
  const ordered_json head{
      {version_key, lock_version},        {"debian", request.release},
      {"snapshot", request.snapshot},     {"components", request.components},
      {"suites", request.suites},         {"repositories", request.repositories},
      {"essential", request.essential},   {"recommends", request.recommends},
      {"packages", request.packages},     {"exclude", request.exclude},
      {"platforms", std::move(platforms)}};
  std::string text = "{\n";
  for (const auto& [key, value] : head.items()) {
    text += fmt::format("  \"{}\": {},\n", key, to_json_text(value));
  }
  std::vector<std::string> lines;
  for (const LockedEntry& entry : entries_of(lock)) {
    lines.push_back("    " + to_line(entry, lock));
  }
  return text + fmt::format("  \"locked\": [\n{}\n  ]\n}}\n", join(lines, ",\n"));
}

Result<PackageLock> parse_lock(std::string_view text, std::string_view what) {
  FNIMAGE_TRY(const json value, parse_json(text, what, {.max_bytes = max_lock_bytes}));
  FNIMAGE_TRY(const JsonObject root, JsonObject::of(value, std::string(what)));
  FNIMAGE_TRY(const std::int64_t version, root.integer(version_key));
  if (version != lock_version) {
    return fail(ErrorCode::unsupported,
                fmt::format("{}: form {} of lock files is not known", what, version),
                "use the version of fnimage that made it, or run `fnimage lock`");
  }
  PackageLock lock;
  FNIMAGE_TRY(lock.request, read_request(root));
  FNIMAGE_TRY(const auto platforms, read_texts(root, "platforms", is_platform));
  if (platforms.empty() || platforms.size() > max_lock_platforms) {
    return refuse(root.path_of("platforms"), "no platforms, or too many");
  }
  for (const std::string& name : platforms) {
    FNIMAGE_TRY(manifest::Platform platform, manifest::Platform::parse(name));
    lock.sets.push_back({.platform = std::move(platform), .packages = {}});
  }
  const json* locked = root.find("locked");
  if (locked == nullptr || !locked->is_array()) {
    return refuse(root.path_of("locked"), "not a list");
  }
  for (std::size_t i = 0; i < locked->size(); ++i) {
    FNIMAGE_CHECK(read_entry((*locked)[i], fmt::format("{}/{}", root.path_of("locked"), i), lock));
  }
  return lock;
}

Result<std::optional<PackageLock>> read_lock(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) {
    return std::nullopt;
  }
  FNIMAGE_TRY(const std::string text, read_file(path, max_lock_bytes));
  auto lock = parse_lock(text, printable(path.string()));
  if (!lock) {
    return fail(std::move(lock).error().with_hint(std::string(remake)));
  }
  return std::move(*lock);
}

Result<std::optional<FoundLock>> find_lock(const BuildOptions& options) {
  std::vector<std::filesystem::path> places;
  if (!options.lock_file.empty()) {
    places.push_back(options.lock_file);
  }
  if (!options.bundle.empty()) {
    places.push_back(options.bundle / bundled_lock_name);
  }
  for (const std::filesystem::path& place : places) {
    FNIMAGE_TRY(auto lock, read_lock(place));
    if (lock) {
      return FoundLock{std::move(*lock), place.string()};
    }
  }
  if (options.locked || !options.bundle.empty()) {
    return fail(ErrorCode::not_found,
                fmt::format("there is no {}",
                            places.empty() ? "lock file" : printable(places.front().string())),
                "run `fnimage lock` and keep the file with the build file");
  }
  return std::nullopt;
}

Result<void> require_current(const PackageLock& lock, const LockedRequest& request,
                             const std::string& lock_name) {
  if (lock.request == request) {
    return {};
  }
  std::string why = difference(lock.request.packages, request.packages, "asks for");
  if (why.empty()) {
    why = difference(lock.request.exclude, request.exclude, "excludes");
  }
  if (why.empty()) {
    why = "the build file names other sources of packages";
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("{} was not made for this build file: {}", printable(lock_name), why),
              std::string(remake));
}

}  // namespace fnimage::build
