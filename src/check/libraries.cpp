// The dynamic loader's search, see the header.
#include "libraries.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <fnimage/base/text.hpp>
#include <fnimage/elf/loader_cache.hpp>

#include "paths.hpp"

namespace fnimage::check {

namespace {

constexpr std::uint64_t max_cache_bytes = std::uint64_t{16} << 20;
constexpr std::uint64_t max_loader_bytes = std::uint64_t{8} << 20;
constexpr std::size_t max_lookups = 1'000'000;  // many times what large images need
constexpr std::uint64_t max_musl_path_bytes = 65536;

bool same_machine(const elf::Identity& a, const elf::Identity& b) noexcept {
  return a.machine == b.machine && a.bits == b.bits && a.order == b.order;
}

std::string machine_key(const elf::Identity& machine) {
  return fmt::format("{}/{}/{}", static_cast<unsigned>(machine.machine), machine.bits,
                     static_cast<int>(machine.order));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// The directories of a DT_RPATH or DT_RUNPATH. Those that depend on the processor or on how glibc
/// was built ($PLATFORM, $LIB) are left out.
std::vector<std::string> search_path(std::string_view text, std::string_view object_path) {
  std::vector<std::string> directories;
  for (const std::string_view part : split(text, ':')) {
    std::string directory(part);
    const std::string origin = fmt::format("/{}", directory_of(object_path));
    replace_all(directory, "${ORIGIN}", origin);
    replace_all(directory, "$ORIGIN", origin);
    if (directory.starts_with('/') && directory.find('$') == std::string::npos) {
      directories.push_back(std::move(directory));
    }
  }
  return directories;
}

std::optional<std::string> text_at(const ImageFiles& files, std::string_view path,
                                   std::uint64_t limit) {
  const std::optional<ImageFiles::Found> found = files.resolve(path);
  return found ? text_of(found->node->entry, limit) : std::nullopt;
}

bool is_library_directory(std::string_view text) {
  constexpr std::size_t longest = 64;
  return text.size() <= longest && text.starts_with('/') && text.ends_with('/') &&
         text.find("lib") != std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

/// glibc's loader holds its default directories as strings one after the other, the only place
/// where an image says them.
std::vector<std::string> directories_in_loader(std::string_view bytes) {
  constexpr std::string_view directory_end("/\0", 2);
  std::vector<std::string> run;
  std::size_t run_end = 0;
  for (std::size_t at = bytes.find(directory_end); at != std::string_view::npos;
       at = bytes.find(directory_end, at + 1)) {
    std::size_t begin = at;
    while (begin > 0 && bytes[begin - 1] > ' ' && bytes[begin - 1] < '\x7f') {
      --begin;
    }
    const std::string_view directory = bytes.substr(begin, at + 1 - begin);
    if (run.size() > 1 && begin != run_end) {
      break;
    }
    if (begin != run_end || !is_library_directory(directory)) {
      run.clear();
    }
    if (is_library_directory(directory)) {
      run.emplace_back(directory.substr(0, directory.size() - 1));
      run_end = at + directory_end.size();
    }
  }
  return run.size() > 1 ? run : std::vector<std::string>();
}

/// Where libraries are when no loader says so: without one, it is the loader that is missing.
std::vector<std::string> usual_directories(const ImageFiles& files) {
  std::vector<std::string> directories{"/lib64", "/usr/lib64", "/lib", "/usr/lib"};
  constexpr std::string_view below = "usr/lib/";
  const ImageFiles::Map& nodes = files.nodes();
  for (auto at = nodes.lower_bound(below); at != nodes.end() && at->first.starts_with(below);
       ++at) {
    const std::string_view name = std::string_view(at->first).substr(below.size());
    if (name.find('/') == std::string_view::npos &&
        name.find("-linux-gnu") != std::string_view::npos) {
      directories.push_back("/" + at->first);
    }
  }
  return directories;
}

bool is_musl(std::string_view loader) {
  return name_of(loader).starts_with("ld-musl-");
}

/// musl's directories: those of its path file, one a line or separated by colons.
std::vector<std::string> directories_of_musl(const ImageFiles& files, std::string_view loader) {
  constexpr std::string_view prefix = "ld-";
  const std::string_view name = name_of(loader);
  const std::string path_file =
      fmt::format("etc/ld-{}.path", name.substr(prefix.size(), name.find('.') - prefix.size()));
  std::string text =
      text_at(files, path_file, max_musl_path_bytes).value_or("/lib:/usr/local/lib:/usr/lib");
  std::replace(text.begin(), text.end(), '\n', ':');
  std::vector<std::string> directories;
  for (const std::string_view part : split(text, ':')) {
    if (part.starts_with('/')) {
      directories.emplace_back(part);
    }
  }
  return directories;
}

}  // namespace

Libraries::Libraries(const ImageFiles& files, const Survey& survey,
                     const manifest::ImageConfig& config)
    : files_(files),
      survey_(survey),
      environment_(search_path(config.env_value("LD_LIBRARY_PATH").value_or(""), "")) {
  for (const auto& [path, node] : files.nodes()) {
    if (node.entry.type != layer::EntryType::directory && path.find(".so") != std::string::npos) {
      by_name_.emplace(name_of(path), path);
    }
  }
}

const LoadedObject* Libraries::object(const std::string& path) {
  if (const auto known = objects_.find(path); known != objects_.end()) {
    return known->second.get();
  }
  std::unique_ptr<LoadedObject>& slot = objects_[path];
  const ImageFiles::Node* node = files_.find(path);
  if (node == nullptr || !node->entry.content || !survey_.objects.contains(path)) {
    broken_.emplace(path, "no ELF object");
    return nullptr;
  }
  Result<elf::Object> read = elf::read_object(*node->entry.content, "it");
  if (!read) {
    broken_.emplace(path, read.error().message());
    return nullptr;
  }
  slot = std::make_unique<LoadedObject>(LoadedObject{.path = path, .object = std::move(*read)});
  slot->versions.insert(slot->object.versions.begin(), slot->object.versions.end());
  slot->runpath = search_path(slot->object.runpath, path);
  if (slot->object.runpath.empty()) {
    slot->rpath = search_path(slot->object.rpath, path);
  }
  return slot.get();
}

std::string Libraries::why(const std::string& path) const {
  const auto found = broken_.find(path);
  return found == broken_.end() ? std::string() : found->second;
}

const LoadedObject* Libraries::at(const std::string& path, const elf::Identity& machine) {
  if (++lookups_ > max_lookups) {
    return nullptr;
  }
  const std::optional<ImageFiles::Found> found = files_.resolve(path);
  if (!found) {
    return nullptr;
  }
  const auto seen = survey_.objects.find(found->path);
  return seen != survey_.objects.end() && same_machine(seen->second, machine) ? object(found->path)
                                                                              : nullptr;
}

const LoadedObject* Libraries::in_directories(const std::vector<std::string>& directories,
                                              const std::string& name,
                                              const elf::Identity& machine) {
  for (const std::string& directory : directories) {
    if (is_exhausted()) {
      return nullptr;
    }
    if (const LoadedObject* found = at(fmt::format("{}/{}", directory, name), machine)) {
      return found;
    }
  }
  return nullptr;
}

const LoadedObject* Libraries::in_cache(const std::string& name, const elf::Identity& machine) {
  const auto [first, last] = defaults_for(machine).cache.equal_range(name);
  for (auto entry = first; entry != last; ++entry) {
    if (const LoadedObject* found = at(entry->second, machine)) {
      return found;
    }
  }
  return nullptr;
}

const LoadedObject* Libraries::find(const std::string& name, const LoadedObject& from,
                                    const std::vector<const LoadedObject*>& inherited) {
  const elf::Identity& machine = from.object.identity;
  if (name.find('/') != std::string::npos) {
    return at(name, machine);
  }
  std::vector<const std::vector<std::string>*> lists{&from.rpath};
  if (from.object.runpath.empty()) {
    for (const LoadedObject* loading : inherited) {
      lists.push_back(&loading->rpath);
    }
  }
  lists.push_back(&environment_);
  lists.push_back(&from.runpath);
  for (const std::vector<std::string>* directories : lists) {
    if (const LoadedObject* found = in_directories(*directories, name, machine)) {
      return found;
    }
  }
  if (from.object.no_default_directories) {
    return nullptr;
  }
  const LoadedObject* cached = in_cache(name, machine);
  return cached != nullptr ? cached
                           : in_directories(defaults_for(machine).directories, name, machine);
}

const std::string& Libraries::anywhere(const std::string& name, const elf::Identity& machine) {
  const auto [slot, is_new] = anywhere_.try_emplace({machine_key(machine), name});
  if (!is_new) {
    return slot->second;
  }
  const auto [first, last] = by_name_.equal_range(name);
  for (auto entry = first; entry != last; ++entry) {
    const std::optional<ImageFiles::Found> found = files_.resolve(entry->second);
    const auto seen = found ? survey_.objects.find(found->path) : survey_.objects.end();
    if (seen != survey_.objects.end() && same_machine(seen->second, machine)) {
      slot->second = entry->second;
      break;
    }
  }
  return slot->second;
}

bool Libraries::is_exhausted() const noexcept {
  return lookups_ > max_lookups;
}

bool Libraries::is_searched(std::string_view directory, const elf::Identity& machine) {
  return defaults_for(machine).searched.contains(directory);
}

std::string Libraries::loader_of(const elf::Identity& machine) {
  for (const auto& [path, identity] : survey_.objects) {
    if (!same_machine(identity, machine)) {
      continue;
    }
    const LoadedObject* program = object(path);
    if (program != nullptr && !program->object.interpreter.empty() &&
        files_.resolve(program->object.interpreter)) {
      return program->object.interpreter;
    }
  }
  return {};
}

const Libraries::Defaults& Libraries::defaults_for(const elf::Identity& machine) {
  const std::string key = machine_key(machine);
  if (const auto known = defaults_.find(key); known != defaults_.end()) {
    return known->second;
  }
  const std::string loader = loader_of(machine);
  Defaults defaults;
  if (is_musl(loader)) {
    defaults.directories = directories_of_musl(files_, loader);
  } else {
    const auto bytes = loader.empty() ? std::nullopt : text_at(files_, loader, max_loader_bytes);
    defaults.directories = directories_in_loader(bytes.value_or(""));
    read_cache(machine, defaults);
  }
  if (defaults.directories.empty()) {
    defaults.directories = usual_directories(files_);
  }
  for (const std::string& directory : defaults.directories) {
    if (const std::optional<ImageFiles::Found> found = files_.resolve(directory)) {
      defaults.searched.insert(found->path);
    }
  }
  return defaults_.emplace(key, std::move(defaults)).first->second;
}

void Libraries::read_cache(const elf::Identity& machine, Defaults& defaults) const {
  const std::optional<std::string> bytes = text_at(files_, "etc/ld.so.cache", max_cache_bytes);
  const auto entries =
      bytes ? elf::parse_loader_cache(*bytes, "/etc/ld.so.cache")
            : Result<std::vector<elf::CachedLibrary>>(std::vector<elf::CachedLibrary>());
  if (!entries) {
    return;  // the loader does without a cache that it does not understand
  }
  const std::optional<std::uint32_t> kind = elf::loader_flags(machine);
  for (const elf::CachedLibrary& library : *entries) {
    const bool any_processor = library.hwcap == 0 && library.processors.empty();
    if (!any_processor || (kind && library.flags != *kind)) {
      continue;
    }
    defaults.cache.emplace(library.name, library.path);
    if (const auto found = files_.resolve(directory_of(library.path))) {
      defaults.searched.insert(found->path);
    }
  }
}

}  // namespace fnimage::check
